package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
	"github.com/consentry/consentry/wasmhost"
)

const stdFiles = 3

// runtimeMemory is what the runtime needs beside a module's memory once it is
// compiled, in bytes: code, tables, answers of servers, a plugin's blocks.
const runtimeMemory = 1 << 30

// moduleMemory bounds the memory of the process that compiles and runs a module
// with this limit. Compiling ends with an error before it is reached; this is
// for what takes memory faster than anybody looks.
func moduleMemory(limit int64) int64 {
	if limit <= 0 {
		limit = wasmhost.DefaultMemory
	}
	return limit + wasmhost.CompileMemory + runtimeMemory
}

// warm goes the way of a module with nothing of an app: what is done for the
// first time takes a millisecond or two longer, and nobody waits for it now. What
// fails here fails again where it counts.
func warm() {
	if raw, err := json.Marshal(moduleJob{Spec: sandbox.Spec{Module: &sandbox.Module{}}}); err == nil {
		json.Unmarshal(raw, &moduleJob{}) //nolint:errcheck // as said
	}
	prepareConfine()
	wasmhost.New(wasmhost.Config{}).Warm(context.Background()) //nolint:errcheck // as said
}

// loadModule confines the process to the module and compiles it. It stays like
// that until a run of it begins, and is no good for anything else.
func (s *server) loadModule(body json.RawMessage) error {
	var job loadJob
	if err := json.Unmarshal(body, &job); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if err := s.claimForModule(); err != nil {
		return err
	}
	spec := sandbox.Spec{Name: filepath.Base(job.Module.Path), Module: &job.Module, Limits: sandbox.Limits{Memory: job.Memory}}
	loaded, err := s.confineAndLoad(spec)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loaded, s.load = loaded, job
	return nil
}

// claimForModule is claim for a worker that is not a router already.
func (s *server) claimForModule() error {
	if s.asRouter {
		return fmt.Errorf("%w: this worker is a router", sandbox.ErrInvalid)
	}
	return s.claim()
}

func (s *server) confineAndLoad(spec sandbox.Spec) (*wasmhost.Loaded, error) {
	if err := confineModule(spec); err != nil {
		return nil, err
	}
	return wasmhost.New(wasmhost.Config{Log: s.log}).Load(s.ctx, spec.Name, *spec.Module, spec.Limits.Memory)
}

// moduleFor is the module of spec: what was loaded for such a run, or else what
// is loaded now, for this one.
func (s *server) moduleFor(spec sandbox.Spec) (*wasmhost.Loaded, error) {
	s.mu.Lock()
	loaded, job := s.loaded, s.load
	s.loaded = nil
	s.mu.Unlock()
	switch {
	case loaded == nil:
		if err := s.claimForModule(); err != nil {
			return nil, err
		}
		return s.confineAndLoad(spec)
	case !job.fits(spec):
		return nil, fmt.Errorf("%w: this worker is confined to another module, or to other limits", sandbox.ErrInvalid)
	}
	return loaded, nil
}

// prepareModule confines the process to what the module was given and compiles
// it, unless that was done before. It runs when somebody waits for it.
func (s *server) prepareModule(body json.RawMessage, files []*os.File) error {
	var job moduleJob
	if err := json.Unmarshal(body, &job); err != nil {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if len(files) != stdFiles || job.Spec.Module == nil {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: a module job has %d files and a module", sandbox.ErrInvalid, stdFiles)
	}
	loaded, err := s.moduleFor(job.Spec)
	if err != nil {
		fdwire.CloseAll(files)
		return err
	}
	copy(job.Spec.Process.Stdio[:], files)
	module, begin, err := loaded.Prepare(job.Spec, wire.NewBroker(s.peer))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.module, s.begin = module, begin
	s.mu.Unlock()
	return nil
}

func signalModule(ctx context.Context, module sandbox.Instance, body json.RawMessage) error {
	var want signal
	if err := json.Unmarshal(body, &want); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if signaler, can := module.(sandbox.Signaler); can {
		return signaler.Signal(ctx, want.Signal)
	}
	return module.Stop(ctx)
}
