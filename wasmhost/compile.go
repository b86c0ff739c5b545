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
func (l *Loaded) compile(ctx context.Context, module []byte, cacheDir string) error {
	l.base = experimental.WithMemoryAllocator(context.WithoutCancel(ctx), linmem.Allocator())
	config := wazero.NewRuntimeConfig().
		WithCoreFeatures(features).
		WithMemoryLimitPages(uint32(min(max(l.memory/pageSize, 1), 1<<16)))
	if cacheDir != "" {
		cache, err := wazero.NewCompilationCacheWithDir(cacheDir)
		if err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		l.cache = cache
		config = config.WithCompilationCache(cache)
	}
	l.engine = wazero.NewRuntimeWithConfig(l.base, config)
	if err := l.compileModules(ctx, module); err != nil {
		l.abandon()
		return err
	}
	return nil
}

// abandon closes the engine; if a compilation was left behind, once that has
// ended: it works on the engine until then.
func (l *Loaded) abandon() {
	if l.left == nil {
		l.closeEngine()
		return
	}
	go func() {
		<-l.left
		l.closeEngine()
	}()
}

func (l *Loaded) compileModules(ctx context.Context, module []byte) error {
	ctx, cancel := context.WithTimeoutCause(ctx, CompileLimit, errors.New("it takes too long"))
	defer cancel()
	// Two workers at least: with one, wazero does not look at the context.
	ctx = experimental.WithCompilationWorkers(ctx, max(2, runtime.GOMAXPROCS(0)))
	return l.compileWithin(ctx, module, l.compileMemory)
}

// offer makes the host's modules that this one imports, with the functions that
// it imports: each takes its time.
func (r *run) offer() error {
	modules := []struct {
		name        string
		instantiate func(names []string) error
	}{
		{wasi.ModuleName, func(names []string) error { return wasi.Instantiate(r.base, r.engine, r.system, names) }},
		{bridge.ModuleName, func(names []string) error { return bridge.Instantiate(r.base, r.engine, r.bridge, names) }},
		{extism.ModuleName, func(names []string) error { return extism.Instantiate(r.base, r.engine, r.plugin, names) }},
	}
	for _, m := range modules {
		names := r.about.imported(m.name)
		if len(names) == 0 {
			continue
		}
		if err := m.instantiate(names); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

// closeEngine frees code and memory. No guest code runs any more.
func (l *Loaded) closeEngine() {
	if err := l.engine.Close(l.base); err != nil {
		l.log.Warn("close engine", "err", err)
	}
	if l.cache != nil {
		l.cache.Close(l.base)
	}
}
