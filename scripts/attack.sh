#!/usr/bin/env bash
# Builds what `consentry doctor --attack` runs, in bin/attack or the folder named:
# image, and probe.wasm where clang and wasi-libc are.
set -euo pipefail

out=${1:-bin/attack}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags '-s -w' -o "$work/probe" ./attack/probe
go run ./tools/attackimage "$work/probe" > "$work/layer.tar"
go run ./tools/mkimage -o "$out/image" -layer "$work/layer.tar"
if command -v clang > /dev/null && [ -e /usr/lib/wasm32-wasi/libc.a ]; then
  clang --target=wasm32-wasi --sysroot=/usr -O1 -w -Isdk/c -o "$out/probe.wasm" \
    -Wl,--stack-first -Wl,-z,stack-size=8388608 attack/module/probe.c
fi
