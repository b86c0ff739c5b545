#!/usr/bin/env bash
# Vets and runs every test of this machine, summed up by tools/testsum:
# unit.sh PARALLEL-PACKAGES [PATTERN ...]
set -euo pipefail
parallel=${1:?usage: unit.sh N [package ...]}
shift
[ $# -gt 0 ] || set -- ./...

mkdir -p .cache
go vet "$@"
go build -o .cache/testsum ./tools/testsum
# testsum's status counts: go test's own tells no more.
{ go test -race -json -p "$parallel" -timeout "${TEST_TIMEOUT:-20m}" "$@" </dev/null || true; } |
  tee .cache/test.json |
  .cache/testsum -max-skips tools/testsum/max-skips
