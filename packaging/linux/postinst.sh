#!/bin/sh
# After the package was unpacked. Debian says "configure [OLD]", rpm how many are
# installed now. Works in a folder without a running system, too.
set -e
case "$1:$2" in
  configure: | 1:*) fresh=1 ;;
  configure:* | triggered:* | 2:*) fresh= ;;
  *) exit 0 ;;
esac

# An AppArmor that cannot read the profile would complain at every boot.
if [ -e /etc/apparmor.d/abi/4.0 ]; then
  cp /usr/share/consentry/apparmor /etc/apparmor.d/consentry
  if [ -d /sys/kernel/security/apparmor ]; then
    apparmor_parser -r -K /etc/apparmor.d/consentry || echo "consentry: the AppArmor profile was not loaded" >&2
  fi
fi

if command -v systemctl >/dev/null; then
  [ -z "$fresh" ] || systemctl enable --quiet consentry-bpf.socket
  if [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    if [ -n "$fresh" ]; then
      systemctl start consentry-bpf.socket
    else
      systemctl stop consentry-bpf.service # the next call starts the new one
    fi
  fi
fi
if [ -d /run/udev ] && command -v udevadm >/dev/null; then
  udevadm control --reload
  udevadm trigger --name-match=net/tun || true
fi
