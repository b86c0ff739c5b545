#!/usr/bin/env bash
# Builds what a microVM boots: guest.sh [x86_64|arm64]. It comes to bin/guest,
# where the agent looks for it; for another processor than this machine's to the
# folder of its name in there.
set -euo pipefail
cd "$(dirname "$0")/.."
here=$(uname -m | sed s/aarch64/arm64/)
arch=${1:-$here}
case $arch in
  x86_64|amd64) arch=x86_64 goarch=amd64 ;;
  arm64|aarch64) arch=arm64 goarch=arm64 ;;
  *) echo "guest.sh: no such architecture: $arch (x86_64 and arm64 are)" >&2; exit 2 ;;
esac
out=bin/guest
[ "$arch" = "$here" ] || out=$out/$goarch
mkdir -p "$out"
CGO_ENABLED=0 GOOS=linux GOARCH=$goarch go build -trimpath -ldflags '-s -w' -o "$out/init" ./cmd/consentry-guest
go run ./tools/mkinitramfs -o "$out/initramfs" "$out/init"
rm "$out/init"
kernel=$(scripts/guest-kernel.sh "$arch")
install -m 644 "$kernel/kernel" "$out/kernel"
ls -l "$out"
