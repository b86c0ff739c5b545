// Package wasmgen makes random valid wasm modules for tests: nested blocks,
// loops with and without parameters and results, branches of all kinds, calls
// direct, indirect and recursive, memory and bulk operations.
//
// It promises that the same seed gives the same module, and that the functions
// of a module with Fuel end.
package wasmgen
