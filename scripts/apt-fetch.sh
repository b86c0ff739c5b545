#!/usr/bin/env bash
# Downloads one package of another suite of this machine's distribution, without
# touching the machine's own apt: apt-fetch.sh SUITE PACKAGE[=VERSION] FILE.deb
set -euo pipefail
cd "$(dirname "$0")/.."
suite=${1:?usage: apt-fetch.sh SUITE PACKAGE[=VERSION] FILE.deb} package=$2 out=$3

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{lists/partial,archives/partial,got}
: >"$root/status"
scripts/sources.sh "$suite" >"$root/sources.list"
options=(
  -o "Dir::State::lists=$root/lists" -o "Dir::State::status=$root/status"
  -o "Dir::Cache=$root" -o "Dir::Cache::archives=$root/archives"
  -o "Dir::Etc::sourcelist=$root/sources.list" -o "Dir::Etc::sourceparts=/dev/null"
  -o "Dir::Etc::preferencesparts=/dev/null" -o "Dir::Etc::preferences=/dev/null"
  -o "APT::Sandbox::User=root" -o "Acquire::Languages=none" -o "APT::Update::Error-Mode=any"
)
(cd "$root/got" && apt-get "${options[@]}" update && apt-get "${options[@]}" download "$package") >"$root/log" 2>&1 </dev/null ||
  { tail -n 5 "$root/log" >&2; exit 1; }
mv "$root"/got/*.deb "$out"
