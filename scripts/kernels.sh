#!/usr/bin/env bash
# Fetches the kernels that the QEMU tests boot into .cache/kernels/NAME:
#   stock       the one of this release (Debian 12: 6.1)
#   backports   a newer one, where the release has it (Debian 12: 6.12)
#   newest      of a later Debian, where it can be had (7.x)
#   guest       that newer one with all drivers, of which those for guests: what
#               microVMs boot where scripts/guest-kernel.sh has built nothing
#   arm64       the same for arm64
# Each holds vmlinuz, modules/ (lib/modules/VERSION, unpacked) and version.
# apt runs on folders of its own, so that the machine's lists are not touched.
set -euo pipefail
PATH=$PATH:/usr/sbin:/sbin
cd "$(dirname "$0")/.."
cache=$PWD/.cache
kernels=$cache/kernels

skip() {
  echo "no kernels fetched: $1; the tests that boot one will skip" >&2
  exit 0
}

names="stock backports newest guest arm64"
[ "$(cat "$kernels/complete" 2>/dev/null)" != "$names" ] || exit 0
command -v apt-get >/dev/null || skip "there is no apt-get here"
[ "$(dpkg --print-architecture)" = amd64 ] || skip "only amd64 is known"
. /etc/os-release
case $ID in
  debian) package=linux-image-cloud-amd64 guests="amd64 arm64" ;;
  ubuntu) package=linux-image-virtual guests= ;;
  *)      skip "$ID is neither Debian nor Ubuntu" ;;
esac

root=$cache/apt
rm -rf "$root"
mkdir -p "$root"
: >"$root/status"
suites=("$VERSION_CODENAME" "$VERSION_CODENAME-backports")
newest=
if [ "$ID" = debian ] && [ "$VERSION_CODENAME" = bookworm ]; then newest=trixie-backports suites+=(trixie-backports); fi
scripts/sources.sh "${suites[@]}" >"$root/sources.list"
# choose ARCHITECTURE PACKAGE: what fetch fetches from now on.
choose() {
  package=$2
  mkdir -p "$root/$1"/{lists/partial,archives/partial}
  options=(
    -o "APT::Architecture=$1" -o "Dir::State::lists=$root/$1/lists" -o "Dir::State::status=$root/status"
    -o "Dir::Cache=$root/$1" -o "Dir::Cache::archives=$root/$1/archives"
    -o "Dir::Etc::sourcelist=$root/sources.list" -o "Dir::Etc::sourceparts=/dev/null"
    -o "Dir::Etc::preferencesparts=/dev/null" -o "Dir::Etc::preferences=/dev/null"
    -o "APT::Sandbox::User=root" -o "Acquire::Languages=none" -o "APT::Update::Error-Mode=any"
  )
  quiet apt-get "${options[@]}" update
}

# quiet COMMAND: its output only when it fails.
quiet() {
  local log=$root/log
  "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; return 1; }
}

# What a guest may need: 120 MB of modules are for machines of metal.
forguests='^./kernel/(fs/(9p|netfs|fuse|overlayfs)|net/9p|net/core|drivers/virtio|drivers/char|lib|crypto|drivers/net/(virtio_net|net_failover|tun)\.ko)'

# fetch NAME SUITE [PATTERN]: with PATTERN only the modules whose paths it is in.
fetch() {
  local name=$1 suite=$2 pattern=${3:-} image work
  [ ! -e "$kernels/$name/version" ] || return 0
  image=$(apt-cache "${options[@]}" show "$package/$suite" 2>/dev/null |
    sed -n 's/^Depends: //p' | tr ',' '\n' | sed 's/^ *//; s/[ (].*//' | grep -m 1 '^linux-image-') || return 1
  work=$root/$name
  mkdir -p "$work"
  local wanted=("$image")
  # Ubuntu keeps the modules apart, Debian from 7.0 on the kernel too.
  local version=${image#linux-image-} part
  for part in "linux-modules-$version" "linux-binary-$version" "linux-base-$version"; do
    if apt-cache "${options[@]}" show "$part/$suite" >/dev/null 2>&1; then wanted+=("$part"); fi
  done
  (cd "$work" && quiet apt-get "${options[@]}" download "${wanted[@]/%//$suite}") || return 1
  local deb
  for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/tree"; done

  # The kernel lies in /boot, from 7.0 on beside its modules.
  local modules binary
  modules=$(ls -d "$work"/tree/{usr/,}lib/modules/"$version" 2>/dev/null | head -n 1)
  binary=$(ls "$work/tree/boot/vmlinuz-$version" "$modules/vmlinuz" 2>/dev/null | head -n 1)
  [ -n "$modules" ] && [ -n "$binary" ] || return 1
  mv "$binary" "$work/vmlinuz"
  if [ -n "$pattern" ]; then
    (cd "$modules" && find . -name '*.ko*' | grep -vE "$pattern" | xargs rm -f)
  fi
  find "$modules" -name '*.ko.xz' -exec xz -d {} +
  find "$modules" -name '*.ko.zst' -exec zstd -q -d --rm {} +
  mkdir -p "$work/base/lib/modules"
  mv "$modules" "$work/base/lib/modules/$version"
  quiet depmod -b "$work/base" "$version"

  rm -rf "${kernels:?}/$name"
  mkdir -p "$kernels/$name"
  mv "$work/base/lib/modules/$version" "$kernels/$name/modules"
  mv "$work/vmlinuz" "$kernels/$name/vmlinuz"
  echo "$version" >"$kernels/$name/version"
  rm -rf "$work"
  echo "kernel $name: $version"
}

choose amd64 "$package" || skip "apt-get update of the kernel's suites does not work"
fetch stock "$VERSION_CODENAME" || skip "$package is not to be had"
fetch backports "$VERSION_CODENAME-backports" || echo "no kernel in $VERSION_CODENAME-backports; the tests that want it will skip" >&2
if [ -n "$newest" ]; then
  fetch newest "$newest" || echo "no kernel in $newest; the tests that want it will skip" >&2
fi
for arch in $guests; do
  name=${arch/amd64/guest}
  { choose "$arch" "linux-image-$arch" && fetch "$name" "$VERSION_CODENAME-backports" "$forguests"; } ||
    echo "no kernel for guests of $arch; the tests that want it will skip" >&2
done
rm -rf "$root"
echo "$names" >"$kernels/complete"
