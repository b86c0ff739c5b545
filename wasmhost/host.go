package wasmhost

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/bridge"
	"github.com/consentry/consentry/wasmhost/extism"
	"github.com/consentry/consentry/wasmhost/rewrite"
	"github.com/consentry/consentry/wasmhost/wasi"
)

// What a zero field of sandbox.Limits means.
const (
	DefaultMemory = 512 << 20 // bytes
	DefaultWall   = 24 * time.Hour
	DefaultOutput = 4 << 30 // bytes to stdout and stderr together
)

// MaxFiles is the most that sandbox.Limits.Files can give.
const MaxFiles = wasi.MaxFiles

// CompileLimit is how long compiling may take.
const CompileLimit = 2 * time.Minute

// Config is what a Host needs.
type Config struct {
	CacheDir string // compiled code, for modules whose Spec names no other; "" means none is kept
	// CompileMemory replaces the constant of that name unless it is 0.
	CompileMemory int64
	Log           *slog.Logger
}

// Host runs modules in this process.
type Host struct {
	cacheDir      string
	compileMemory int64
	log           *slog.Logger
}

// New returns a Host.
func New(c Config) *Host {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Host{cacheDir: c.CacheDir, compileMemory: orDefault(c.CompileMemory, CompileMemory), log: c.Log}
}

// Start compiles the module and sets it running. It returns once the module is
// compiled; ctx bounds only that. spec.Process.Stdio is taken over, also when
// Start fails.
func (h *Host) Start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (sandbox.Instance, error) {
	module, begin, err := h.Prepare(ctx, spec, broker)
	if err == nil {
		begin()
	}
	return module, err
}

// Prepare is Start without the module's first instruction, which comes with
// begin. A module that is stopped before never runs.
func (h *Host) Prepare(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (_ sandbox.Instance, begin func(), err error) {
	stdio := wasi.Stdio{Files: spec.Process.Stdio, Terminal: spec.Process.Terminal}
	defer func() {
		if err != nil {
			stdio.Close()
		}
	}()
	if err := checkSpec(spec, broker); err != nil {
		return nil, nil, err
	}
	module, about, err := readModule(*spec.Module)
	if err != nil {
		return nil, nil, err
	}
	return h.prepare(ctx, spec, broker, stdio, module, about)
}

func (h *Host) prepare(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker, stdio wasi.Stdio, module []byte, about Module) (_ sandbox.Instance, begin func(), err error) {
	rewritten, err := rewrite.Rewrite(module)
	if err != nil {
		return nil, nil, fmt.Errorf("prepare %s: %w", spec.Name, err)
	}
	r := &run{
		spec: spec, about: about, names: rewritten.Names, checks: rewritten.Checks, log: h.log.With("run", spec.ID),
		bridge: bridge.New(broker), done: make(chan struct{}),
		memory: orDefault(spec.Limits.Memory, DefaultMemory), compileMemory: h.compileMemory,
	}
	system, err := wasi.New(wasi.Config{
		Args: spec.Process.Args, Env: spec.Process.Env, Stdio: stdio, Mounts: mounts(spec.Mounts),
		Output: orDefault(spec.Limits.Output, DefaultOutput), Files: spec.Limits.Files, Exceeded: r.exceeded,
	})
	if err != nil {
		return nil, nil, err
	}
	r.system = system
	if about.wants(extism.ModuleName) {
		if r.plugin, err = r.newPlugin(); err != nil {
			system.Close()
			return nil, nil, err
		}
	}
	if err := r.compile(ctx, rewritten.Module, h.cacheFor(spec)); err != nil {
		system.Close()
		return nil, nil, fmt.Errorf("compile %s: %w", spec.Name, err)
	}
	var inside context.Context
	inside, r.cancel = context.WithCancelCause(r.base)
	r.begin = sync.OnceFunc(func() { r.launch(inside, orDefault(spec.Limits.Wall, DefaultWall), spec.Limits.CPU) })
	return r, r.begin, nil
}

func checkSpec(spec sandbox.Spec, broker sandbox.Broker) error {
	switch {
	case spec.Module == nil:
		return errors.New("the wasm host runs modules only, and the spec has none")
	case broker == nil:
		return errors.New("no broker")
	}
	return nil
}

func (h *Host) cacheFor(spec sandbox.Spec) string {
	if spec.Module.Cache != "" {
		return spec.Module.Cache
	}
	return h.cacheDir
}

// readModule reads the file once, and checks what it read: nobody can change
// it between check and use.
func readModule(m sandbox.Module) ([]byte, Module, error) {
	f, err := os.Open(m.Path)
	if err != nil {
		return nil, Module{}, err
	}
	defer f.Close()
	module, err := io.ReadAll(io.LimitReader(f, rewrite.MaxModule+1))
	if err != nil {
		return nil, Module{}, fmt.Errorf("read module: %w", err)
	}
	if m.Digest != "" {
		sum := sha256.Sum256(module)
		if got := "sha256:" + hex.EncodeToString(sum[:]); got != m.Digest {
			return nil, Module{}, fmt.Errorf("module %s has digest %s, want %s", m.Path, got, m.Digest)
		}
	}
	about, err := inspectBytes(module)
	if err != nil {
		return nil, Module{}, err
	}
	if about.Component {
		if module, err = coreOf(module); err != nil {
			return nil, Module{}, err
		}
	}
	return module, about, about.RunnableAs(m.Call)
}

func mounts(list []sandbox.Mount) []wasi.Mount {
	out := make([]wasi.Mount, len(list))
	for i, m := range list {
		out[i] = wasi.Mount{Source: m.Source, Target: m.Target, ReadOnly: m.ReadOnly}
	}
	return out
}

func orDefault[T int64 | time.Duration](v, standard T) T {
	if v <= 0 {
		return standard
	}
	return v
}
