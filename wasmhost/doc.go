// Package wasmhost runs WebAssembly modules: the wasm host of package sandbox.
//
// It promises:
//   - a module has no way out but WASI preview 1 over the mounts of its Spec
//     and the functions of module "consentry", which ask the Broker; there are
//     no sockets;
//   - no path leaves a mount, whatever links exist (package wasi, over os.Root);
//   - no pointer from the module reads or writes outside its memory;
//   - an endless loop and a blocked host call both end promptly on Stop, on a
//     signal, and at the time limit (package rewrite);
//   - memory, tables, output, open files, modules and functions have limits.
//
// It does not promise to bound the memory or time that compiling one hostile
// function takes, only that Start returns at the time limit for compiling: the
// worker process around it is what is killed then. Nor does it hide the
// machine's speed or cache timing from the module.
package wasmhost
