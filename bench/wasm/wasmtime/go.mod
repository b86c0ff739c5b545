module github.com/consentry/consentry/bench/wasm/wasmtime

go 1.26

require github.com/bytecodealliance/wasmtime-go/v37 v37.0.0
