#!/usr/bin/env bash
# Builds the image of OpenClaw, once, and prints the table of bench/openclaw.
# Arguments go to the benchmark (-rounds, -only, -dir ...).
set -euo pipefail

scripts/deps.sh bench
[ -d .cache/openclaw/image ] || examples/openclaw/build.sh >&2
mkdir -p .cache/bench-openclaw
go build -o .cache/bench-openclaw/bench ./bench/openclaw
exec .cache/bench-openclaw/bench "$@"
