package rewrite

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// script is one file of the specification's test suite, as wast2json writes it.
type script struct {
	Commands []struct {
		Type, Filename string
		Line           int
		Action         struct {
			Type, Field, Module string
			Args                []value
		}
	}
}

// value is an argument; a number stands in decimal, a vector is a list.
type value struct {
	Type  string
	Value json.RawMessage
}

// specSuite is the folder of the suite in wazero's own module.
func specSuite(t *testing.T) string {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/tetratelabs/wazero").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "internal/integration_test/spectest/v2/testdata")
}

// pair is a module and its rewritten self.
type pair struct{ plain, rewritten api.Module }

// newPair returns nil for a module that needs what another one exports.
func newPair(t *testing.T, plain, rewriting wazero.Runtime, raw []byte, where string) *pair {
	config := wazero.NewModuleConfig().WithName("").WithStartFunctions()
	a, err := plain.InstantiateWithConfig(t.Context(), raw, config)
	if err != nil {
		return nil
	}
	got, err := Rewrite(raw)
	if err != nil {
		if !strings.Contains(err.Error(), "import") { // of a memory, table or global: such modules are refused before
			t.Errorf("%s: %v", where, err)
		}
		a.Close(t.Context())
		return nil
	}
	b, err := rewriting.InstantiateWithConfig(t.Context(), got.Module, config)
	if err != nil {
		t.Errorf("%s: rewritten: %v", where, err)
		a.Close(t.Context())
		return nil
	}
	if start := got.Names.Start; start != "" {
		if _, err := b.ExportedFunction(start).Call(t.Context()); err != nil {
			t.Errorf("%s: start: %v", where, err)
		}
	}
	return &pair{a, b}
}

func (p *pair) close() {
	if p != nil {
		p.plain.Close(context.Background())
		p.rewritten.Close(context.Background())
	}
}

// arguments are false for what is no number.
func arguments(list []value) ([]uint64, bool) {
	var out []uint64
	for _, v := range list {
		var text string
		if json.Unmarshal(v.Value, &text) != nil {
			return nil, false
		}
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return nil, false
		}
		out = append(out, n)
	}
	return out, true
}

// sameCall calls a function of both and compares results and traps.
func (p *pair) sameCall(t *testing.T, name string, args []uint64, where string) {
	f, g := p.plain.ExportedFunction(name), p.rewritten.ExportedFunction(name)
	if f == nil || g == nil {
		t.Errorf("%s: %s is missing (%t, %t)", where, name, f == nil, g == nil)
		return
	}
	want, errWant := f.Call(t.Context(), args...)
	got, errGot := g.Call(t.Context(), args...)
	if (errWant == nil) != (errGot == nil) {
		t.Errorf("%s: %s(%v): %v, rewritten %v", where, name, args, errWant, errGot)
		return
	}
	for i, kind := range f.Definition().ResultTypes() {
		if errWant == nil && !sameValue(kind, want[i], got[i]) {
			t.Errorf("%s: %s(%v) is %v, rewritten %v", where, name, args, want, got)
			return
		}
	}
}

// sameValue takes any two NaNs for the same; references are addresses.
func sameValue(kind api.ValueType, a, b uint64) bool {
	switch kind {
	case api.ValueTypeF32:
		x, y := api.DecodeF32(a), api.DecodeF32(b)
		return a == b || x != x && y != y
	case api.ValueTypeF64:
		return a == b || math.IsNaN(api.DecodeF64(a)) && math.IsNaN(api.DecodeF64(b))
	case api.ValueTypeI32, api.ValueTypeI64:
		return a == b
	}
	return (a == 0) == (b == 0)
}

// The modules of the specification's own suite do the same rewritten: every
// call of it that takes numbers gives the same results or the same trap.
func TestSpecificationSuite(t *testing.T) {
	scripts, err := filepath.Glob(filepath.Join(specSuite(t), "*.json"))
	if err != nil || len(scripts) < 100 {
		t.Fatalf("%d scripts, %v", len(scripts), err)
	}
	modules, calls := 0, 0
	begin := time.Now()
	for _, file := range scripts {
		if strings.Contains(file, "simd_") && os.Getenv("CONSENTRY_LONG") == "" {
			continue
		}
		m, c := runScript(t, file)
		modules, calls = modules+m, calls+c
	}
	t.Logf("%d calls of %d modules in %s", calls, modules, time.Since(begin).Round(time.Millisecond))
	if modules < 300 || calls < 5_000 {
		t.Error("the suite did too little")
	}
}

func runScript(t *testing.T, file string) (modules, calls int) {
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s script
	if err := json.Unmarshal(raw, &s); err != nil {
		t.Fatal(err)
	}
	plain, rewriting := engine(t), engine(t)
	var current *pair
	defer func() { current.close() }()
	for _, c := range s.Commands {
		where := filepath.Base(file) + ":" + strconv.Itoa(c.Line)
		switch {
		case c.Type == "module":
			current.close()
			raw, err := os.ReadFile(filepath.Join(filepath.Dir(file), c.Filename))
			if err != nil {
				t.Fatal(err)
			}
			if current = newPair(t, plain, rewriting, raw, where); current != nil {
				modules++
			}
		case c.Action.Type != "invoke" || c.Action.Module != "" || current == nil || c.Type == "assert_exhaustion":
		default:
			if args, numbers := arguments(c.Action.Args); numbers {
				current.sameCall(t, c.Action.Field, args, where)
				calls++
			}
		}
	}
	return modules, calls
}
