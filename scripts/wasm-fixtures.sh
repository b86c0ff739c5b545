#!/usr/bin/env bash
# Builds again the two modules that are kept as binaries, because the tools for
# them weigh 400 MB: the AssemblyScript sample, and a component that the usual
# tool made of a C program. Needs npm, clang and wasi-libc.
set -euo pipefail
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
npm install --prefix "$work" --no-audit --no-fund assemblyscript@0.28.20 @bytecodealliance/jco@1.35.0

cp examples/wasm-assemblyscript/main.ts "$work/"
(cd "$work" && npx asc main.ts -O --use abort=main/fail -o main.wasm --exportStart _start)
cp "$work/main.wasm" examples/wasm-assemblyscript/main.wasm

cat >"$work/hello.c" <<'END'
#include <stdio.h>
int main(int argc, char **argv) { printf("from a component, %d\n", argc); return 3; }
END
clang --target=wasm32-wasi -Os -Wl,--strip-all -o "$work/hello.wasm" "$work/hello.c"
(cd "$work" && npx jco new hello.wasm --wasi-command -o hello.component.wasm)
cp "$work/hello.component.wasm" wasmhost/testdata/hello.component.wasm
