package rewrite

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"

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

// With and without a loop, a cycle through an indirect call is charged.
func TestIndirectCycleStops(t *testing.T) {
	raw := build(t, `
#define EXPORT __attribute__((visibility("default")))
typedef unsigned (*op)(unsigned);
unsigned self(unsigned n);
static volatile op table[] = {self, self};
unsigned self(unsigned n) { return n ? table[n & 1](n - 1) + table[n & 1](n - 1) : 0; }
EXPORT unsigned run(void) { return self(50); }
EXPORT unsigned round(void) { unsigned x = 0; for (;;) { x += table[x & 1](3); asm volatile(""); } }
`)
	got, err := Rewrite(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"run", "round"} {
		mod, err := engine(t).Instantiate(t.Context(), got.Module)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := mod.ExportedFunction(name).Call(context.Background())
			ended <- err
		}()
		time.Sleep(30 * time.Millisecond)
		mod.ExportedGlobal(got.Names.Stop).(api.MutableGlobal).Set(1)
		select {
		case err := <-ended:
			if err == nil {
				t.Errorf("%s ended by itself", name)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s did not stop", name)
		}
	}
}
