// Package rewrite makes a wasm module interruptible before it is compiled.
//
// It promises, for a module that it accepts:
//   - at the head of every loop, on entry to every function that calls, before
//     every bulk operation (by its length) and in long straight code, a counter
//     is decremented; each Interval ticks the code leaves for Go (so that the
//     garbage collector can stop the world) and traps if the stop flag is set;
//   - the module cannot name the counter or the flag;
//   - the start function does not run during instantiation, where nothing
//     could stop it: it is exported as Names.Start and run by the host;
//   - tables are bounded in number and size, functions in locals, and the
//     module has a memory.
//
// It does not type-check: an ill-typed module stays ill-typed and is refused
// by the engine. It does not bound recursion; the engine's stack limit does.
package rewrite
