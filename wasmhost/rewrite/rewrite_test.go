package rewrite

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"

	"github.com/consentry/consentry/wasmhost/wasmbin"
)

const features = api.CoreFeaturesV2 | experimental.CoreFeaturesTailCall | experimental.CoreFeaturesExtendedConst

func engine(t testing.TB) wazero.Runtime {
	config := wazero.NewRuntimeConfig().WithCoreFeatures(features).WithMemoryLimitPages(256)
	e := wazero.NewRuntimeWithConfig(context.Background(), config)
	t.Cleanup(func() { e.Close(context.Background()) })
	return e
}

// build compiles C to a module without a libc; its functions are exported.
func build(t testing.TB, source string, options ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath("clang"); err != nil {
		t.Skip("needs clang and lld: " + err.Error())
	}
	dir := t.TempDir()
	in, out := filepath.Join(dir, "m.c"), filepath.Join(dir, "m.wasm")
	if err := os.WriteFile(in, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"--target=wasm32", "-O2", "-nostdlib", "-Wl,--no-entry", "-Wl,--export-dynamic", "-o", out, in}, options...)
	if text, err := exec.Command("clang", args...).CombinedOutput(); err != nil {
		t.Fatalf("clang: %v\n%s", err, text)
	}
	raw, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

const work = `
#define EXPORT __attribute__((visibility("default")))
static unsigned char sieve[1 << 16];
EXPORT unsigned primes(unsigned n) {
	unsigned count = 0;
	__builtin_memset(sieve, 1, n);
	for (unsigned i = 2; i < n; i++) {
		if (!sieve[i]) continue;
		count++;
		for (unsigned j = 2 * i; j < n; j += i) sieve[j] = 0;
	}
	return count;
}
EXPORT unsigned fib(unsigned n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
EXPORT unsigned pick(unsigned n) {
	switch (n % 9) { case 0: return 7; case 1: return 11; case 2: return n * 3; case 3: return 1; case 4: return 0; case 5: return n; case 7: return 9; }
	return 77;
}
EXPORT unsigned blend(unsigned n) {
	float f = 0; double d = 1;
	for (unsigned i = 1; i <= n; i++) { f += 1.0f / i; d *= 1.0 + 1.0 / (i * (double)i); }
	return (unsigned)(f * 1000) ^ (unsigned)(d * 100000);
}
EXPORT unsigned sums(unsigned n) {
	static unsigned a[1024], b[1024];
	for (unsigned i = 0; i < 1024; i++) { a[i] = i * n; b[i] = i ^ n; }
	unsigned s = 0;
	for (unsigned i = 0; i < 1024; i++) { a[i] += b[i]; s ^= a[i]; }
	return s;
}
typedef unsigned (*op)(unsigned);
static op table[] = {fib, pick, blend};
EXPORT unsigned indirect(unsigned n) { return table[n % 3](n); }
`

// A rewritten module gives the results of the plain one.
func TestSameResults(t *testing.T) {
	for _, options := range [][]string{{"-mbulk-memory"}, {"-msimd128", "-mbulk-memory"}, {"-mtail-call", "-mbulk-memory"}, {"-O0", "-mbulk-memory"}} {
		raw := build(t, work, options...)
		rewritten, err := Rewrite(raw)
		if err != nil {
			t.Fatal(err)
		}
		plain, err := engine(t).Instantiate(t.Context(), raw)
		if err != nil {
			t.Fatal(err)
		}
		changed, err := engine(t).Instantiate(t.Context(), rewritten.Module)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"primes", "fib", "pick", "blend", "sums", "indirect"} {
			for n := uint64(0); n < 15; n++ {
				a, err := plain.ExportedFunction(name).Call(t.Context(), n)
				if err != nil {
					t.Fatal(err)
				}
				b, err := changed.ExportedFunction(name).Call(t.Context(), n)
				if err != nil || a[0] != b[0] {
					t.Errorf("%v: %s(%d) is %v, %v after rewriting, error %v", options, name, n, a, b, err)
				}
			}
		}
	}
}

// The flag stops loops, recursion and bulk operations, and only when set.
func TestStopFlag(t *testing.T) {
	raw := build(t, `
#define EXPORT __attribute__((visibility("default")))
static char a[1 << 20];
EXPORT void loop(void) { for (;;) asm volatile(""); }
EXPORT int rec(int n) { return n < 2 ? n : rec(n - 1) + rec(n - 2); }
EXPORT void both(void) { rec(60); }
EXPORT void fill(void) { for (;;) { __builtin_memset(a, 1, sizeof a); asm volatile("" ::: "memory"); } }
`, "-mbulk-memory")
	rewritten, err := Rewrite(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"loop", "both", "fill"} {
		mod, err := engine(t).Instantiate(t.Context(), rewritten.Module)
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() {
			_, err := mod.ExportedFunction(name).Call(context.Background())
			ended <- err
		}()
		select {
		case err := <-ended:
			t.Fatalf("%s ended by itself: %v", name, err)
		case <-time.After(50 * time.Millisecond):
		}
		mod.ExportedGlobal(rewritten.Names.Stop).(api.MutableGlobal).Set(1)
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), "unreachable") {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("%s did not stop", name)
		}
	}
}

// one makes a module of one function () -> () with the given code.
func one(code string) []byte {
	raw := []byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00" + "\x03\x02\x01\x00")
	code = "\x00" + code + "\x0b"
	body := append([]byte{1}, wasmbin.AppendU32(nil, uint32(len(code)))...)
	return appendSection(raw, wasmbin.Code, append(body, code...))
}

// Long code is charged where it is called, by its length.
func TestLongCode(t *testing.T) {
	for _, c := range []struct{ length, points int }{{maxFree / 2, 0}, {2 * maxFree, 1}} {
		got, err := Rewrite(one(strings.Repeat("\x01", c.length)))
		if err != nil {
			t.Fatal(err)
		}
		if got.Checks != c.points {
			t.Errorf("%d interruption points in %d instructions, want %d", got.Checks, c.length, c.points)
		}
	}
}

// What names a function that does not exist does not get the one that is added.
func TestTickIsOutOfReach(t *testing.T) {
	for name, raw := range map[string][]byte{
		"call":     one("\x10\x01"),
		"ref.func": one("\xd2\x01\x1a"),
		"element":  []byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x04\x04\x01\x70\x00\x01\x09\x07\x01\x00\x41\x00\x0b\x01\x01\x0a\x04\x01\x02\x00\x0b"),
		"export":   []byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x07\x05\x01\x01x\x00\x01\x0a\x04\x01\x02\x00\x0b"),
		"start":    []byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x08\x01\x01\x0a\x04\x01\x02\x00\x0b"),
		"global":   []byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x06\x06\x01\x70\x00\xd2\x01\x0b\x0a\x04\x01\x02\x00\x0b"),
	} {
		if _, err := Rewrite(raw); err == nil || !strings.Contains(err.Error(), "function 1 does not exist") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Names that the module uses already are left alone.
func TestNamesDoNotCollide(t *testing.T) {
	raw := []byte(wasmbin.Header + "\x06\x06\x01\x7f\x01\x41\x00\x0b" + "\x07\x12\x01\x0econsentry.stop\x03\x00")
	got, err := Rewrite(raw)
	if err != nil {
		t.Fatal(err)
	}
	if got.Names.Stop == "consentry.stop" {
		t.Error("stop flag took the module's own name")
	}
	if _, err := engine(t).Instantiate(t.Context(), got.Module); err != nil {
		t.Error(err)
	}
}

// FuzzRewrite: what the engine takes before, it takes after, unless we refuse
// it; and a rewritten module always parses again.
func FuzzRewrite(f *testing.F) {
	f.Add([]byte(wasmbin.Header + "\x06\x06\x01\x7f\x01\x41\x00\x0b" + "\x07\x12\x01\x0econsentry.stop\x03\x00"))
	f.Add([]byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x08\x01\x00\x0a\x09\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b"))
	f.Add([]byte(wasmbin.Header + "\x01\x04\x01\x60\x00\x00\x03\x02\x01\x00\x04\x04\x01\x70\x00\x01\x0a\x0a\x01\x08\x00\xd0\x70\x41\x01\xfc\x0f\x00\x0b"))
	corpus, err := filepath.Glob("testdata/*.wasm")
	if err != nil || len(corpus) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, path := range corpus {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	config := wazero.NewRuntimeConfigInterpreter().WithCoreFeatures(features).WithMemoryLimitPages(16)
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := Rewrite(raw)
		if err != nil {
			return
		}
		again, err := Rewrite(got.Module)
		if err != nil {
			t.Fatalf("rewritten module does not parse: %v", err)
		}
		if again.Names.Stop == got.Names.Stop {
			t.Fatal("stop flag was exported twice under one name")
		}
		if cheap(raw) {
			same(t, config, raw, got.Module)
		}
	})
}

// cheap keeps out what the engine itself needs too much memory for.
func cheap(raw []byte) bool { return len(raw) < 1<<16 }

// withoutNames drops custom sections, as the engine may mind what is in them.
func withoutNames(t *testing.T, raw []byte) []byte {
	sections, err := wasmbin.Sections(raw)
	if err != nil {
		t.Fatal(err)
	}
	out := []byte(wasmbin.Header)
	for _, s := range sections {
		if s.ID != wasmbin.Custom {
			out = appendSection(out, s.ID, s.Body)
		}
	}
	return out
}

func same(t *testing.T, config wazero.RuntimeConfig, raw, rewritten []byte) {
	e := wazero.NewRuntimeWithConfig(t.Context(), config)
	defer e.Close(t.Context())
	plain := withoutNames(t, raw)
	if _, err := e.CompileModule(t.Context(), plain); err != nil {
		return
	}
	if _, err := e.CompileModule(t.Context(), rewritten); err != nil {
		t.Fatalf("engine takes the module but not the rewritten one: %v", err)
	}
}

func benchmark(b *testing.B, function string, n uint64, rewritten bool) {
	raw := build(b, work, "-mbulk-memory")
	if rewritten {
		got, err := Rewrite(raw)
		if err != nil {
			b.Fatal(err)
		}
		raw = got.Module
	}
	e := wazero.NewRuntimeWithConfig(b.Context(), wazero.NewRuntimeConfig().WithCoreFeatures(features))
	defer e.Close(b.Context())
	mod, err := e.Instantiate(b.Context(), raw)
	if err != nil {
		b.Fatal(err)
	}
	f := mod.ExportedFunction(function)
	for b.Loop() {
		if _, err := f.Call(b.Context(), n); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPrimesPlain(b *testing.B)     { benchmark(b, "primes", 60_000, false) }
func BenchmarkPrimesRewritten(b *testing.B) { benchmark(b, "primes", 60_000, true) }
func BenchmarkFibPlain(b *testing.B)        { benchmark(b, "fib", 25, false) }
func BenchmarkFibRewritten(b *testing.B)    { benchmark(b, "fib", 25, true) }
func BenchmarkSumsPlain(b *testing.B)       { benchmark(b, "sums", 3, false) }
func BenchmarkSumsRewritten(b *testing.B)   { benchmark(b, "sums", 3, true) }
func BenchmarkBlendPlain(b *testing.B)      { benchmark(b, "blend", 1000, false) }
func BenchmarkBlendRewritten(b *testing.B)  { benchmark(b, "blend", 1000, true) }

// Many calls in deep blocks take time by their number, not by its product with
// the depth.
func TestCallsInDeepBlocksAreCheap(t *testing.T) {
	const calls, most = 200_000, 6
	flat, deep := writeTime(t, 1, calls), writeTime(t, maxDepth-2, calls)
	t.Logf("%s flat, %s deep", flat, deep)
	if deep > most*flat {
		t.Errorf("%d calls took %s, and %s in %d blocks", calls, flat, deep, maxDepth)
	}
}

// writeTime is the best time to write a loop with calls in blocks.
func writeTime(t *testing.T, depth, calls int) time.Duration {
	t.Helper()
	body := []byte{0, wasmbin.OpLoop, noResult} // no locals
	body = append(body, bytes.Repeat([]byte{wasmbin.OpBlock, noResult}, depth)...)
	body = append(body, bytes.Repeat([]byte{wasmbin.OpCall, 0}, calls)...)
	body = append(body, bytes.Repeat([]byte{wasmbin.OpEnd}, depth+2)...)
	best := time.Hour
	for range 3 {
		m := &rewriter{own: []function{{body: body}}}
		if err := m.scan(&m.own[0]); err != nil {
			t.Fatal(err)
		}
		m.weigh()
		start := time.Now()
		new(writer).write(m, &m.own[0])
		best = min(best, time.Since(start))
	}
	return best
}
