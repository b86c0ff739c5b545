#!/usr/bin/env bash
# Builds the benchmark and its peers, and prints the table of bench/net.
# Arguments go to the benchmark (-rounds, -ms, -only ...).
set -euo pipefail

# gvisor-tap-vsock is a peer and never a dependency: its programs are built from
# the module proxy, at the version that was measured.
peer=github.com/containers/gvisor-tap-vsock@v0.8.9

scripts/deps.sh bench
tools=$PWD/.cache/bench-net
mkdir -p "$tools"
for program in gvproxy vm; do
  [ -x "$tools/$program" ] || GOBIN=$tools go install "${peer%@*}/cmd/$program@${peer#*@}" ||
    echo "$program did not build: the table will lack gvisor-tap-vsock" >&2
done
go build -o "$tools/bench-net" ./bench/net
CGO_ENABLED=0 go build -trimpath -o "$tools/consentry-worker" ./cmd/consentry-worker
exec "$tools/bench-net" -tools "$tools" -worker "$tools/consentry-worker" "$@"
