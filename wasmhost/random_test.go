package wasmhost

import (
	"bytes"
	"math/rand/v2"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/wasmgen"
	"github.com/consentry/consentry/sandbox"
)

// mutated changes a few bytes behind the header.
func mutated(raw []byte, rnd *rand.Rand) []byte {
	out := bytes.Clone(raw)
	for range 1 + rnd.IntN(4) {
		out[8+rnd.IntN(len(out)-8)] = byte(rnd.IntN(256))
	}
	return out
}

// Random modules, valid and damaged, are refused or run, most of them for ever,
// and end at their limit; what they took is given back.
func TestRandomModulesUnderLimits(t *testing.T) {
	modules := 60
	if os.Getenv("CONSENTRY_LONG") != "" {
		modules = 3_000
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	limits := sandbox.Limits{Wall: 100 * time.Millisecond, Memory: 16 << 20}
	ends := map[int]int{}
	refused := 0
	for i := range modules {
		raw := wasmgen.Module(wasmgen.Options{Seed: uint64(1_000 + i), Fuel: i%4 == 0})
		if i%2 == 1 {
			raw = mutated(raw, rnd)
		}
		s, err := tryBegin(t, writeModule(t, raw), sandbox.Spec{Limits: limits}, &testBroker{})
		if err != nil {
			refused++
			continue
		}
		ends[s.wait(20*time.Second).Code]++
	}
	t.Logf("%d refused; exit codes %v", refused, ends)
	for code := range ends {
		if code != 0 && code != trapCode && code != 137 {
			t.Errorf("exit %d", code)
		}
	}
	if ends[137] == 0 || ends[0] == 0 || refused == 0 {
		t.Error("the modules do too little")
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	if live := after.HeapAlloc >> 20; live > 256 {
		t.Errorf("%d MiB are still in use", live)
	}
}
