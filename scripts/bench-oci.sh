#!/usr/bin/env bash
# Builds a small and a large image and prints the tables of bench/oci.
# Arguments go to the benchmark (-rounds, -only, -dir ...).
set -euo pipefail

scripts/deps.sh bench
dir=.cache/bench-oci
mkdir -p "$dir"
if [ ! -d "$dir/debian" ]; then
  mmdebstrap --quiet --variant=minbase bookworm "$dir/debian.tar"
  go run ./tools/mkimage -o "$dir/debian" -layer "$dir/debian.tar" -cmd sh
fi
[ -d .cache/openclaw/image ] || examples/openclaw/build.sh >&2
go build -o "$dir/bench-oci" ./bench/oci
exec "$dir/bench-oci" "$@" debian="$dir/debian" openclaw=.cache/openclaw/image
