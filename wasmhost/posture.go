package wasmhost

import (
	"context"
	"fmt"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/bridge"
	"github.com/consentry/consentry/wasmhost/extism"
	"github.com/consentry/consentry/wasmhost/wasi"
)

// Posture says which walls stand. They are part of this program, so what is
// read back is how they were set for this module.
func (r *run) Posture(context.Context) (sandbox.Posture, error) {
	p := sandbox.Posture{Host: "wasm"}
	stands := func(name, detail string) {
		p.Walls = append(p.Walls, sandbox.Wall{Name: name, Required: true, Stands: true, Detail: detail})
	}
	stands("wasm memory isolation", "compiled by wazero; the module addresses its own memory only")
	p.Walls = append(p.Walls, r.importsWall())
	stands("mounts", r.system.Describe())
	stands("memory limit", fmt.Sprintf("%d MiB", r.memory>>20))
	stands("interruption", fmt.Sprintf("%d points", r.checks))
	stands("no ambient network", "HTTP only, each hop is asked about")
	return p, nil
}

// importsWall reads the imports back from the compiled module.
func (r *run) importsWall() sandbox.Wall {
	w := sandbox.Wall{Name: "no sockets, no other host functions", Required: true, Stands: true}
	n := 0
	for _, f := range r.module.ImportedFunctions() {
		module, name, _ := f.Import()
		n++
		if !offered(Import{Module: module, Name: name, Func: true}) {
			w.Stands = false
			w.Detail = fmt.Sprintf("module imports %s.%s", module, name)
			return w
		}
	}
	w.Detail = fmt.Sprintf("%d imports, all from %s, %s and %s", n, wasi.ModuleName, bridge.ModuleName, extism.ModuleName)
	return w
}
