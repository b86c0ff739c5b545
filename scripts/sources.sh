#!/usr/bin/env bash
# Prints, in apt's one-line form, the given suites of this machine's
# distribution at the mirror that the machine itself uses: sources.sh SUITE ...
set -euo pipefail
. /etc/os-release

# URI and keyring of the first entry whose suites hold the release itself.
found=$(
  for file in /etc/apt/sources.list.d/*.sources; do
    [ -f "$file" ] || continue
    awk -v suite="$VERSION_CODENAME" '
      function flush(   i, n, words) {
        n = split(suites, words, " ")
        for (i = 1; i <= n; i++) if (words[i] == suite && types ~ /(^| )deb( |$)/) { split(uris, u, " "); print u[1], key }
        types = uris = suites = key = ""
      }
      /^[ \t]*$/ { flush(); next }
      /^Types:/     { sub(/^[^:]*:[ \t]*/, ""); types = $0 }
      /^URIs:/      { sub(/^[^:]*:[ \t]*/, ""); uris = $0 }
      /^Suites:/    { sub(/^[^:]*:[ \t]*/, ""); suites = $0 }
      /^Signed-By: *\// { key = $2 }
      END { flush() }' "$file"
  done
  for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
    [ -f "$file" ] || continue
    awk -v suite="$VERSION_CODENAME" '
      $1 == "deb" {
        key = ""
        if (match($0, /signed-by=[^] ,]+/)) key = substr($0, RSTART + 10, RLENGTH - 10)
        sub(/\[[^]]*\]/, "")
        if ($3 == suite) print $2, key
      }' "$file"
  done
)
read -r uri key <<<"$(head -n 1 <<<"$found")"
if [ -z "$uri" ]; then
  echo "no apt source of this machine has the suite $VERSION_CODENAME" >&2
  exit 1
fi
for suite in "$@"; do
  echo "deb ${key:+[signed-by=$key] }$uri $suite main"
done
