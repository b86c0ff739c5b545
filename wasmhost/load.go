package wasmhost

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/tetratelabs/wazero"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/bridge"
	"github.com/consentry/consentry/wasmhost/extism"
	"github.com/consentry/consentry/wasmhost/rewrite"
	"github.com/consentry/consentry/wasmhost/wasi"
)

// Loaded is a module that was read, rewritten and compiled for one run. Nothing
// of it was executed. Prepare or Close it once.
type Loaded struct {
	about         Module
	names         rewrite.Names
	checks        int
	memory        int64 // limit in bytes
	compileMemory int64 // in bytes
	log           *slog.Logger

	base   context.Context // carries the allocator, never ends
	cache  wazero.CompilationCache
	engine wazero.Runtime
	module wazero.CompiledModule
	left   chan struct{} // closed when a compilation that was left behind ends; nil if none was
}

// Load makes a module ready for a run with this limit of memory, in bytes; 0 is
// DefaultMemory. name is for errors, ctx bounds the compiling.
func (h *Host) Load(ctx context.Context, name string, m sandbox.Module, memory int64) (*Loaded, error) {
	module, about, err := readModule(m)
	if err != nil {
		return nil, err
	}
	return h.load(ctx, name, module, about, cmp.Or(m.Cache, h.cacheDir), memory)
}

func (h *Host) load(ctx context.Context, name string, module []byte, about Module, cacheDir string, memory int64) (*Loaded, error) {
	rewritten, err := rewrite.Rewrite(module)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", name, err)
	}
	l := &Loaded{
		about: about, names: rewritten.Names, checks: rewritten.Checks, log: h.log,
		memory: orDefault(memory, DefaultMemory), compileMemory: h.compileMemory,
	}
	if err := l.compile(ctx, rewritten.Module, cacheDir); err != nil {
		return nil, fmt.Errorf("compile %s: %w", name, err)
	}
	return l, nil
}

// Close frees a module that is not to run.
func (l *Loaded) Close() { l.closeEngine() }

// Prepare gives the module what spec says beside the module and its memory,
// which Load had. begin and the rest are as with Host.Prepare.
func (l *Loaded) Prepare(spec sandbox.Spec, broker sandbox.Broker) (_ sandbox.Instance, begin func(), err error) {
	if broker == nil {
		err = errors.New("no broker")
	} else {
		err = l.about.RunnableAs(spec.Module.Call)
	}
	if err != nil {
		CloseStdio(spec)
		l.Close()
		return nil, nil, err
	}
	r := &run{Loaded: l, spec: spec, bridge: bridge.New(broker), done: make(chan struct{})}
	l.log = l.log.With("run", spec.ID)
	r.system, err = wasi.New(wasi.Config{
		Args: spec.Process.Args, Env: spec.Process.Env, Stdio: stdio(spec), Mounts: mounts(spec.Mounts),
		Output: orDefault(spec.Limits.Output, DefaultOutput), Files: spec.Limits.Files, Exceeded: r.exceeded,
	})
	if err != nil {
		CloseStdio(spec)
		l.Close()
		return nil, nil, err
	}
	if l.about.wants(extism.ModuleName) {
		r.plugin, err = r.newPlugin()
	}
	if err == nil {
		err = r.offer()
	}
	if err != nil {
		r.clean()
		return nil, nil, err
	}
	var inside context.Context
	inside, r.cancel = context.WithCancelCause(r.base)
	r.begin = sync.OnceFunc(func() { r.launch(inside, orDefault(spec.Limits.Wall, DefaultWall), spec.Limits.CPU) })
	return r, r.begin, nil
}
