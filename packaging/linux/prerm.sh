#!/bin/sh
# Before the package goes; nothing before an upgrade.
set -e
case "$1" in
  remove | deconfigure | 0) ;;
  *) exit 0 ;;
esac
if command -v systemctl >/dev/null; then
  [ ! -d /run/systemd/system ] || systemctl stop consentry-bpf.socket consentry-bpf.service
  systemctl disable --quiet consentry-bpf.socket
fi
