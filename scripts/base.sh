#!/usr/bin/env bash
# Makes the root file system of the demo and of the story tests out of Debian
# packages, unless it is there: base.sh FILE.tar [PACKAGE,…]
set -euo pipefail
out=${1:?usage: base.sh FILE.tar [PACKAGE,...]} packages=${2:-python3,curl,ca-certificates}
[ -s "$out" ] && exit 0
mkdir -p "$(dirname "$out")"
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mmdebstrap --quiet --variant=minbase --include="$packages" bookworm "$tmp/base.tar" >"$tmp/log" 2>&1 ||
  { cat "$tmp/log" >&2; exit 1; }
mv "$tmp/base.tar" "$out"
