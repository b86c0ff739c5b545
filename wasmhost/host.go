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

var _ sandbox.Host = (*Host)(nil)

// New returns a Host.
func New(c Config) *Host {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Host{cacheDir: c.CacheDir, compileMemory: orDefault(c.CompileMemory, CompileMemory), log: c.Log}
}

// Name is "wasm".
func (*Host) Name() string { return "wasm" }

// Check finds nothing missing: all walls are in this program.
func (*Host) Check(context.Context) error { return nil }

// Start compiles the module and sets it running. It returns once the module is
// compiled; ctx bounds only that. spec.Process.Stdio is taken over, also when
// Start fails.
func (h *Host) Start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (_ sandbox.Instance, err error) {
	stdio := wasi.Stdio{Files: spec.Process.Stdio, Terminal: spec.Process.Terminal}
	defer func() {
		if err != nil {
			stdio.Close()
		}
	}()
	if err := checkSpec(spec, broker); err != nil {
		return nil, err
	}
	module, about, err := readModule(*spec.Module)
	if err != nil {
		return nil, err
	}
	rewritten, err := rewrite.Rewrite(module)
	if err != nil {
		return nil, fmt.Errorf("prepare %s: %w", spec.Name, err)
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
		return nil, err
	}
	r.system = system
	if about.wants(extism.ModuleName) {
		if r.plugin, err = r.newPlugin(); err != nil {
			system.Close()
			return nil, err
		}
	}
	if err := r.compile(ctx, rewritten.Module, h.cacheFor(spec)); err != nil {
		system.Close()
		return nil, fmt.Errorf("compile %s: %w", spec.Name, err)
	}
	r.begin(orDefault(spec.Limits.Wall, DefaultWall), spec.Limits.CPU)
	return r, nil
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
