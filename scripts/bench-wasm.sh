#!/usr/bin/env bash
# Builds the programs and peers of bench/wasm and runs it.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/deps.sh bench
bin=$PWD/.cache/bench-wasm
mkdir -p "$bin"
export CONSENTRY_HOME=$bin/home
[ ${#CONSENTRY_HOME} -le 70 ] || CONSENTRY_HOME=$(mktemp -d)

CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$bin/" ./cmd/*
go build -o "$bin/wazero" github.com/tetratelabs/wazero/cmd/wazero
(cd bench/wasm/wasmtime && go build -o "$bin/wasmtime" .)
compile() { clang --target=wasm32-wasi -O2 -mbulk-memory -o "$bin/$2.wasm" "bench/wasm/programs/$1.c"; }
compile compute compute
compile wait wait
compile hello hello-c
/usr/bin/rustc --target wasm32-wasi -O -C strip=symbols -o "$bin/hello-rust.wasm" bench/wasm/programs/hello.rs
cp bench/wasm/programs/wasi.mjs "$bin/"

finish() {
  local agent
  agent=$("$bin/consentry" version --json 2>/dev/null | sed -n 's/.*"pid": *\([0-9]*\).*/\1/p' | head -n 1) || true
  [ -z "$agent" ] || kill "$agent" || true
}
trap finish EXIT
go build -o "$bin/bench" ./bench/wasm
"$bin/bench" -bin "$bin" "$@"
