package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	"github.com/tetratelabs/wazero/sys"
)

// engine is plain wazero in this process, with a cache of compiled code: what
// any program pays that runs a module by it.
type engine struct{ cache string }

// run takes a new runtime from the file to the end of the program.
func (e engine) run(ctx context.Context, module string) (_ time.Duration, err error) {
	start := time.Now()
	raw, err := os.ReadFile(module)
	if err != nil {
		return 0, err
	}
	cache, err := wazero.NewCompilationCacheWithDir(e.cache)
	if err != nil {
		return 0, err
	}
	defer cache.Close(ctx)
	r := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfig().WithCompilationCache(cache))
	defer r.Close(ctx)
	if _, err := wasi_snapshot_preview1.Instantiate(ctx, r); err != nil {
		return 0, err
	}
	_, err = r.InstantiateWithConfig(ctx, raw, wazero.NewModuleConfig().WithStdout(io.Discard).WithArgs(module))
	if exited, is := err.(*sys.ExitError); is && exited.ExitCode() == 0 { //nolint:errorlint // wazero gives it bare
		err = nil
	}
	if err != nil {
		return 0, fmt.Errorf("wazero in process: %w", err)
	}
	return time.Since(start), nil
}
