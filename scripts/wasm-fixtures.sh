#!/usr/bin/env bash
# Builds again the modules that are kept as binaries, because the tools for them
# weigh 400 MB: the AssemblyScript sample, and components that the usual tool made
# of programs in C and Rust. Needs npm, clang, wasi-libc and Debian's rustc.
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
cat >"$work/hello-rust.rs" <<'END'
fn main() {
    let name = std::env::args().nth(1).unwrap_or_default();
    println!("from Rust, {name}, {:?}", std::fs::read_to_string("/greeting").map_err(|e| e.kind()));
    std::process::exit(4);
}
END
/usr/bin/rustc --target wasm32-wasi -C opt-level=s -C lto -C panic=abort -C strip=symbols -o "$work/hello-rust.wasm" "$work/hello-rust.rs"
for name in hello hello-rust; do
  (cd "$work" && npx jco new "$name.wasm" --wasi-command -o "$name.component.wasm")
  cp "$work/$name.component.wasm" wasmhost/testdata/
done
