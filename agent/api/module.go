package api

import "github.com/consentry/consentry/sandbox"

// ModuleCall says which function of a wasm module runs, and with what.
type ModuleCall = sandbox.ModuleCall
