#!/bin/sh
# After the package has gone. What users keep stays: consentry purge removes it,
# before the package is removed.
set -e
case "$1" in
  remove | purge | 0) ;;
  *) exit 0 ;;
esac
if [ -e /etc/apparmor.d/consentry ]; then
  [ ! -d /sys/kernel/security/apparmor ] || apparmor_parser -R /etc/apparmor.d/consentry || true
  rm -f /etc/apparmor.d/consentry /var/cache/apparmor/*/consentry
fi
[ ! -d /run/systemd/system ] || systemctl daemon-reload
