// Package wasmbin reads the binary format of WebAssembly modules.
//
// It promises bounded work: every count is checked against a limit and against
// the bytes that are left before memory is taken for it, and a fault is kept
// in the Reader so that no caller acts on half-read values.
//
// It does not validate types; the engine does that afterwards.
package wasmbin
