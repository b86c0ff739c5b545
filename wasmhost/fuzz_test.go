package wasmhost

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/wasmgen"
	"github.com/consentry/consentry/sandbox"
)

// FuzzModule gives the whole path, from inspection to the end of a run under
// limits, whatever the fuzzer makes of real and random modules.
func FuzzModule(f *testing.F) {
	for seed := range uint64(4) {
		f.Add(wasmgen.Module(wasmgen.Options{Seed: seed, Fuel: seed%2 == 0, Size: 20}))
	}
	hello, err := os.ReadFile(filepath.Join("testdata", "hello.component.wasm"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(hello)
	limits := sandbox.Limits{Wall: 20 * time.Millisecond, Memory: 16 << 20, Output: 64 << 10}
	f.Fuzz(func(t *testing.T, module []byte) {
		started, err := tryBegin(t, writeModule(t, module), sandbox.Spec{Limits: limits}, &testBroker{})
		if err != nil {
			return // refused
		}
		exit := started.wait(20 * time.Second)
		if exit.Code < 0 || exit.Code > 255 {
			t.Errorf("exit %d", exit.Code)
		}
		if inUse := started.instance.(*run).used; inUse > limits.Memory {
			t.Errorf("%d bytes of memory, and the limit is %d", inUse, limits.Memory)
		}
	})
}
