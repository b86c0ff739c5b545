package wasmhost

import (
	"context"
	"errors"
	"fmt"
	"runtime"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/consentry/consentry/wasmhost/bridge"
	"github.com/consentry/consentry/wasmhost/extism"
	"github.com/consentry/consentry/wasmhost/linmem"
	"github.com/consentry/consentry/wasmhost/wasi"
)

// features are those that package wasmbin reads. Threads stay off, as there is
// one memory and one thread, and exceptions, as a module must not catch a stop.
const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

const pageSize = 64 << 10

// compile makes the engine and compiles the rewritten module. The context
// ends it between two functions; a function under way is left behind.
func (r *run) compile(ctx context.Context, module []byte, cacheDir string) error {
	r.base = experimental.WithMemoryAllocator(context.WithoutCancel(ctx), linmem.Allocator())
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(features).
		WithMemoryLimitPages(uint32(min(max(r.memory/pageSize, 1), 1<<16)))
	if cacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
		if err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		r.cache = cache
		config = config.WithCompilationCache(cache)
	}
	r.engine = wazero.NewRuntimeWithConfig(r.base, config)
	if err := r.compileModules(ctx, module); err != nil {
		r.abandon()
		return err
	}
	return nil
}

// abandon closes the engine; if a compilation was left behind, once that has
// ended: it works on the engine until then.
func (r *run) abandon() {
	if r.left == nil {
		r.closeEngine()
		return
	}
	go func() {
		<-r.left
		r.closeEngine()
	}()
}

func (r *run) compileModules(ctx context.Context, module []byte) error {
	if err := r.offer(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeoutCause(ctx, CompileLimit, errors.New("it takes too long"))
	defer cancel()
	// Two workers at least: with one, wazero does not look at the context.
	ctx = experimental.WithCompilationWorkers(ctx, max(2, runtime.GOMAXPROCS(0)))
	return r.compileWithin(ctx, module, r.compileMemory)
}

// offer makes the host's modules that this one imports: each takes its time.
func (r *run) offer() error {
	modules := []struct {
		name        string
		instantiate func() error
	}{
		{wasi.ModuleName, func() error { return wasi.Instantiate(r.base, r.engine, r.system) }},
		{bridge.ModuleName, func() error { return bridge.Instantiate(r.base, r.engine, r.bridge) }},
		{extism.ModuleName, func() error { return extism.Instantiate(r.base, r.engine, r.plugin) }},
	}
	for _, m := range modules {
		if !r.about.wants(m.name) {
			continue
		}
		if err := m.instantiate(); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// closeEngine frees code and memory. No guest code runs any more.
func (r *run) closeEngine() {
	if err := r.engine.Close(r.base); err != nil {
		r.log.Warn("close engine", "err", err)
	}
	if r.cache != nil {
		r.cache.Close(r.base)
	}
}
