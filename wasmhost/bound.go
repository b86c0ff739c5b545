package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"runtime/metrics"
	"time"

	"github.com/tetratelabs/wazero"
)

// CompileMemory is how much memory compiling one module may take, in bytes. A
// module of 30 MB takes about a third of it.
const CompileMemory = 2 << 30

// ErrCompileMemory is wrapped when compiling took more.
var ErrCompileMemory = errors.New("memory limit of compiling")

// memoryLook is how often the memory of a compilation is looked at.
const memoryLook = 10 * time.Millisecond

// compileWithin returns when ctx ends or the memory is more than limit, even if
// one function takes for ever: a small one that nests loops around many locals
// can take any amount of both. It is left behind then, for the process to end.
func (l *Loaded) compileWithin(ctx context.Context, module []byte, limit int64) error {
	type result struct {
		module wazero.CompiledModule
		err    error
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	compiled, ended := make(chan result, 1), make(chan struct{})
	began := memoryInUse()
	go func() {
		defer close(ended)
		m, err := l.engine.CompileModule(ctx, module)
		compiled <- result{m, err}
	}()
	look := time.NewTicker(memoryLook)
	defer look.Stop()
	for {
		select {
		case got := <-compiled:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			l.module = got.module
			return got.err
		case <-look.C:
			if memoryInUse()-began > limit {
				cancel(fmt.Errorf("%w: more than %d MiB", ErrCompileMemory, limit>>20))
			}
		case <-ctx.Done():
			l.left = ended
			return context.Cause(ctx)
		}
	}
}

// memoryInUse is what Go has of the system and has not given back, in bytes.
func memoryInUse() int64 {
	samples := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(samples)
	return int64(samples[0].Value.Uint64()) - int64(samples[1].Value.Uint64())
}
