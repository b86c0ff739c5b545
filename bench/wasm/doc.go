// Command wasm compares running WebAssembly under Consentry with the plain
// wazero program, Node's WASI and wasmtime: compute, host calls, start to exit,
// and many instances at once. scripts/bench-wasm.sh builds what it runs.
//
// Every figure is a ratio of one round, in which all take turns; the table has
// the medians. Compute and host calls are timed inside the guest, each the best
// of many short slices, as the machine may be busy.
package main
