package wasmhost

import (
	"os"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// BenchmarkStart is a small C program from Start to the end of Wait, with its
// code in the cache.
func BenchmarkStart(b *testing.B) {
	path := buildC(b, `#include <stdio.h>
int main(void) { puts("hello"); return 0; }`, "-O2")
	host := New(Config{CacheDir: b.TempDir()})
	spec := sandbox.Spec{Module: &sandbox.Module{Path: path}, Process: sandbox.Process{Args: []string{"app"}}}
	for b.Loop() {
		spec.Process.Stdio = [3]*os.File{}
		instance, err := host.Start(b.Context(), spec, &testBroker{})
		if err != nil {
			b.Fatal(err)
		}
		if exit, err := instance.Wait(b.Context()); err != nil || exit.Code != 0 {
			b.Fatal(exit, err)
		}
	}
}

// BenchmarkHostCall is 1,000,000 calls of clock_time_get.
func BenchmarkHostCall(b *testing.B) {
	path := buildC(b, `#include <wasi/api.h>
int main(void) { __wasi_timestamp_t t; for (int i = 0; i < 1000000; i++) __wasi_clock_time_get(1, 1, &t); return 0; }`, "-O2")
	host := New(Config{CacheDir: b.TempDir()})
	spec := sandbox.Spec{Module: &sandbox.Module{Path: path}, Process: sandbox.Process{Args: []string{"app"}}}
	for b.Loop() {
		instance, err := host.Start(b.Context(), spec, &testBroker{})
		if err != nil {
			b.Fatal(err)
		}
		if exit, err := instance.Wait(b.Context()); err != nil || exit.Code != 0 {
			b.Fatal(exit, err)
		}
	}
}
