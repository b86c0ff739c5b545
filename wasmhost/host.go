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
	if spec.Module == nil {
		CloseStdio(spec)
		return nil, nil, errors.New("the wasm host runs modules only, and the spec has none")
	}
	loaded, err := h.Load(ctx, spec.Name, *spec.Module, spec.Limits.Memory)
	if err != nil {
		CloseStdio(spec)
		return nil, nil, err
	}
	return loaded.Prepare(spec, broker)
}

// CloseStdio closes the standard files of a module that is not to run.
func CloseStdio(spec sandbox.Spec) { stdio(spec).Close() }

func stdio(spec sandbox.Spec) wasi.Stdio {
	return wasi.Stdio{Files: spec.Process.Stdio, Terminal: spec.Process.Terminal}
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
