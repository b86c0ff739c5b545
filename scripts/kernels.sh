#!/usr/bin/env bash
# Fetches the kernels that the QEMU tests boot into .cache/kernels/NAME:
#   stock       the one of this release (Debian 12: 6.1)
#   backports   a newer one, where the release has it (Debian 12: 6.12)
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

[ ! -e "$kernels/complete" ] || exit 0
command -v apt-get >/dev/null || skip "there is no apt-get here"
[ "$(dpkg --print-architecture)" = amd64 ] || skip "only amd64 is known"
. /etc/os-release
case $ID in
  debian) package=linux-image-cloud-amd64 ;;
  ubuntu) package=linux-image-virtual ;;
  *)      skip "$ID is neither Debian nor Ubuntu" ;;
esac

root=$cache/apt
rm -rf "$root"
mkdir -p "$root"/{lists/partial,archives/partial}
: >"$root/status"
scripts/sources.sh "$VERSION_CODENAME" "$VERSION_CODENAME-backports" >"$root/sources.list"
options=(
  -o "Dir::State::lists=$root/lists" -o "Dir::State::status=$root/status"
  -o "Dir::Cache=$root" -o "Dir::Cache::archives=$root/archives"
  -o "Dir::Etc::sourcelist=$root/sources.list" -o "Dir::Etc::sourceparts=/dev/null"
  -o "Dir::Etc::preferencesparts=/dev/null" -o "Dir::Etc::preferences=/dev/null"
  -o "APT::Sandbox::User=root" -o "Acquire::Languages=none" -o "APT::Update::Error-Mode=any"
)

# quiet COMMAND: its output only when it fails.
quiet() {
  local log=$root/log
  "$@" >"$log" 2>&1 </dev/null || { tail -n 20 "$log" >&2; return 1; }
}

# fetch NAME SUITE
fetch() {
  local name=$1 suite=$2 image work
  image=$(apt-cache "${options[@]}" show "$package/$suite" 2>/dev/null |
    sed -n 's/^Depends: //p' | tr ',' '\n' | sed 's/^ *//; s/[ (].*//' | grep -m 1 '^linux-image-') || return 1
  work=$root/$name
  mkdir -p "$work"
  local wanted=("$image")
  # Ubuntu keeps the modules apart.
  if [ "$ID" = ubuntu ]; then wanted+=("linux-modules-${image#linux-image-}"); fi
  (cd "$work" && quiet apt-get "${options[@]}" download "${wanted[@]/%//$suite}") || return 1
  local deb
  for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/tree"; done

  local version
  version=$(basename "$(ls -d "$work"/tree/boot/vmlinuz-*)") && version=${version#vmlinuz-}
  local modules
  modules=$(ls -d "$work"/tree/{usr/,}lib/modules/"$version" 2>/dev/null | head -n 1)
  find "$modules" -name '*.ko.xz' -exec xz -d {} +
  find "$modules" -name '*.ko.zst' -exec zstd -q -d --rm {} +
  mkdir -p "$work/base/lib/modules"
  mv "$modules" "$work/base/lib/modules/$version"
  quiet depmod -b "$work/base" "$version"

  rm -rf "${kernels:?}/$name"
  mkdir -p "$kernels/$name"
  mv "$work/base/lib/modules/$version" "$kernels/$name/modules"
  mv "$work/tree/boot/vmlinuz-$version" "$kernels/$name/vmlinuz"
  echo "$version" >"$kernels/$name/version"
  rm -rf "$work"
  echo "kernel $name: $version"
}

quiet apt-get "${options[@]}" update || skip "apt-get update of the kernel's suites does not work"
fetch stock "$VERSION_CODENAME" || skip "$package is not to be had"
fetch backports "$VERSION_CODENAME-backports" || echo "no kernel in $VERSION_CODENAME-backports; the tests that want it will skip" >&2
rm -rf "$root"
touch "$kernels/complete"
