package rewrite

import (
	"bytes"
	"context"
	"os"
	"testing"

	"github.com/tetratelabs/wazero"

	"github.com/consentry/consentry/internal/wasmgen"
)

// what a function did, seen from outside.
type effect struct {
	result uint64
	failed bool
	global uint64
	memory []byte
}

func (e effect) same(o effect) bool {
	return e.result == o.result && e.failed == o.failed && e.global == o.global && bytes.Equal(e.memory, o.memory)
}

func effects(t *testing.T, module []byte) []effect {
	t.Helper()
	e := wazero.NewRuntimeWithConfig(t.Context(), wazero.NewRuntimeConfig().WithCoreFeatures(features))
	defer e.Close(context.Background())
	compiled, err := e.CompileModule(t.Context(), module)
	if err != nil {
		t.Fatalf("compile: %v", err)
	}
	var all []effect
	for i := range wasmgen.Functions {
		mod, err := e.InstantiateModule(t.Context(), compiled, wazero.NewModuleConfig().WithName("").WithStartFunctions())
		if err != nil {
			t.Fatal(err)
		}
		got, err := mod.ExportedFunction(wasmgen.Name(i)).Call(t.Context(), 7, 11)
		one := effect{failed: err != nil, global: mod.ExportedGlobal("g").Get()}
		if err == nil {
			one.result = got[0]
		}
		memory, _ := mod.Memory().Read(0, mod.Memory().Size())
		one.memory = bytes.Clone(memory)
		all = append(all, one)
		mod.Close(t.Context())
	}
	return all
}

// Random modules do the same rewritten as they do plain.
func TestRandomModules(t *testing.T) {
	points, ended := 0, 0
	seeds := uint64(40)
	if os.Getenv("CONSENTRY_LONG") != "" {
		seeds = 2_000
	}
	for seed := range seeds {
		raw := wasmgen.Module(wasmgen.Options{Seed: seed, Fuel: true})
		got, err := Rewrite(raw)
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		points += got.Checks
		plain, rewritten := effects(t, raw), effects(t, got.Module)
		for i := range plain {
			if !plain[i].same(rewritten[i]) {
				t.Errorf("seed %d: function %d differs after rewriting", seed, i)
			}
			if !plain[i].failed {
				ended++
			}
		}
	}
	t.Logf("%d interruption points; %d calls ended without a trap", points, ended)
	if points == 0 || ended < 100 {
		t.Error("the random modules do too little")
	}
}
