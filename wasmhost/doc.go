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
//   - memory, tables, output, open files, modules and functions have limits,
//     and time and processor time;
//   - Start returns when compiling takes more time or memory than its limits.
//
// It cannot end the compiling of one hostile function, only leave it behind:
// the worker process around it, which has a limit of memory of its own, is what
// is killed then. Nor does it hide the machine's speed or cache timing from the
// module.
package wasmhost
