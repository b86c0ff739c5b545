#!/usr/bin/env bash
# Fetches a parser of AppArmor profiles that knows user namespaces (4.0) into
# .cache/apparmor, where this release has none (Debian 12: 3.0). It is of a later
# Debian, with that one's C library, and run by its own loader: .cache/apparmor/parse.
set -euo pipefail
cd "$(dirname "$0")/.."
to=$PWD/.cache/apparmor
[ ! -x "$to/parse" ] || exit 0

skip() {
  echo "no apparmor_parser fetched: $1; the test of the profile will skip" >&2
  exit 0
}

command -v apt-get >/dev/null || skip "there is no apt-get here"
. /etc/os-release
[ "$ID" = debian ] && [ "$VERSION_CODENAME" = bookworm ] || skip "install the package apparmor"

root=$PWD/.cache/apt-apparmor
rm -rf "$root" "$to"
mkdir -p "$root"/{lists/partial,archives/partial}
: >"$root/status"
scripts/sources.sh trixie >"$root/sources.list"
options=(
  -o "Dir::State::lists=$root/lists" -o "Dir::State::status=$root/status"
  -o "Dir::Cache=$root" -o "Dir::Cache::archives=$root/archives"
  -o "Dir::Etc::sourcelist=$root/sources.list" -o "Dir::Etc::sourceparts=/dev/null"
  -o "Dir::Etc::preferencesparts=/dev/null" -o "Dir::Etc::preferences=/dev/null"
  -o "APT::Sandbox::User=root" -o "Acquire::Languages=none"
)
apt-get "${options[@]}" update >"$root/log" 2>&1 </dev/null || skip "apt-get update does not work"
(cd "$root" && apt-get "${options[@]}" download apparmor libc6 >>"$root/log" 2>&1 </dev/null) || skip "the packages are not to be had"
for deb in "$root"/*.deb; do dpkg-deb -x "$deb" "$root/tree"; done
mkdir -p "$to"
parser=$(find "$root/tree" -name apparmor_parser -type f | head -n 1)
libs=$(dirname "$(find "$root/tree" -name libc.so.6 | head -n 1)")
[ -n "$parser" ] && [ -e "$libs/ld-linux-x86-64.so.2" ] || skip "the packages hold no parser for this machine"
cp "$parser" "$libs"/ld-linux-x86-64.so.2 "$libs"/lib{c,m}.so.6 "$to"
cp -r "$root/tree/etc/apparmor.d" "$to/base"
cat >"$to/parse" <<'END'
#!/bin/sh
here=$(dirname "$0")
exec "$here/ld-linux-x86-64.so.2" --library-path "$here" "$here/apparmor_parser" --base "$here/base" --config-file /dev/null -Q -K "$@"
END
chmod +x "$to/parse"
rm -rf "$root"
echo "apparmor_parser: $("$to/parse" --version | head -n 1)"
