// Package rewrite makes a wasm module interruptible before it is compiled.
//
// It promises, for a module that it accepts:
//   - in every round of a loop (of small ones in every second or fourth), in every
//     cycle of calls, on entry to long functions and before every bulk
//     operation a counter runs down by what the code costs; when it is used up
//     the code leaves for Go (so that the garbage collector can stop the world)
//     and traps if the stop flag is set;
//   - the module cannot name the counter, the flag or the function that looks at it;
//   - the start function does not run during instantiation, where nothing
//     could stop it: it is exported as Names.Start and run by the host;
//   - tables are bounded in number and size, functions in locals, and the
//     module has a memory.
//
// It does not type-check: an ill-typed module stays ill-typed and is refused
// by the engine. It does not bound recursion; the engine's stack limit does.
package rewrite
