package wasmhost

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// busy are programs that never end by themselves. Each writes "up" first.
var busy = map[string]string{
	"file reads": `static char b[64 << 20]; int f = open("/d/big", O_RDONLY);
		if (pread(f, b, sizeof b, 0) != sizeof b) return 1; for (;;) pread(f, b, sizeof b, 0);`,
	"loop":                    `for (;;) { asm volatile(""); }`,
	"loop of a loopless call": `extern int leaf(int); int x = 1; for (;;) x = leaf(x);`,
	"host calls":              `for (;;) raw_yield();`,
	"faults":                  `for (;;) raw_random(-1, -1);`,
	"random":                  `char *p = malloc(64 << 20); for (;;) raw_random((int)p, 64 << 20);`,
	"large fills":             `int n = 128 << 20; char *p = malloc(n); for (;;) __builtin_memset(p, 1, n);`,
	"large copies":            `int n = 64 << 20; char *p = malloc(2 * n); for (;;) __builtin_memcpy(p, p + n, n);`,
	"recursion of two":        `fib(60);`,
	"sleep":                   `for (;;) sleep(3600);`,
	"read stdin":              `char c; for (;;) read(0, &c, 1);`,
	"poll stdin":              `struct pollfd p = {0, POLLIN, 0}; for (;;) poll(&p, 1, -1);`,
	"write output":            `static char b[65536]; for (;;) write(2, b, sizeof b);`,
}

const busyHead = `
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
int raw_yield(void) __attribute__((import_module("wasi_snapshot_preview1"), import_name("sched_yield")));
int raw_random(int, int) __attribute__((import_module("wasi_snapshot_preview1"), import_name("random_get")));
__attribute__((noinline)) int leaf(int x) { return x * 1664525 + 1013904223; }
int fib(int n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
int main(int argc, char **argv) { write(1, "up", 2); `

func TestStopIsPrompt(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 64<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	spec := sandbox.Spec{Mounts: []sandbox.Mount{{Source: dir, Target: "/d", ReadOnly: true}}}
	for name, body := range busy {
		t.Run(name, func(t *testing.T) {
			path := buildC(t, busyHead+body+"}", "-O1", "-mbulk-memory")
			s := begin(t, path, spec, &testBroker{})
			s.waitFor("up")
			time.Sleep(50 * time.Millisecond)
			start := time.Now()
			exit := s.stop(2 * time.Second)
			t.Logf("ended after %s", time.Since(start).Round(time.Microsecond))
			if exit.Code != 143 || exit.Reason != "stopped" {
				t.Errorf("exit %+v, want 143", exit)
			}
			if exit = s.stop(time.Second); exit.Code != 143 {
				t.Errorf("second stop: exit %+v", exit)
			}
		})
	}
}

// A reader that has gone away does not keep the module from being stopped.
func TestStopWithFullPipe(t *testing.T) {
	path := buildC(t, busyHead+`static char b[65536]; for (;;) write(1, b, sizeof b);}`, "-O1")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	inst, err := New(Config{}).Start(t.Context(), sandbox.Spec{
		ID: "aaaaaaaaaaaa", Module: &sandbox.Module{Path: path},
		Process: sandbox.Process{Args: []string{"app"}, Stdio: [3]*os.File{nil, w, nil}},
	}, &testBroker{})
	if err != nil {
		t.Fatal(err)
	}
	s := &started{t: t, instance: inst, out: &output{done: make(chan struct{})}, err: &output{done: make(chan struct{})}}
	close(s.out.done)
	close(s.err.done)
	time.Sleep(100 * time.Millisecond)
	if exit := s.stop(time.Second); exit.Code != 143 {
		t.Errorf("exit %+v", exit)
	}
}

// The garbage collector can stop the world while a module loops.
func TestLoopLetsCollectorRun(t *testing.T) {
	path := buildC(t, busyHead+`for (;;) { asm volatile(""); } }`, "-O1")
	s := begin(t, path, sandbox.Spec{}, &testBroker{})
	s.waitFor("up")
	worst := time.Duration(0)
	for range 10 {
		start := time.Now()
		runtime.GC()
		worst = max(worst, time.Since(start))
	}
	t.Logf("longest collection %s", worst)
	if worst > time.Second {
		t.Errorf("a collection took %s", worst)
	}
}

func TestSignals(t *testing.T) {
	path := buildC(t, busyHead+`for (;;) { asm volatile(""); } }`, "-O1")
	for signal, code := range map[sandbox.Signal]int{sandbox.SIGINT: 130, sandbox.SIGHUP: 129, sandbox.SIGKILL: 137, 28: 0} {
		s := begin(t, path, sandbox.Spec{}, &testBroker{})
		s.waitFor("up")
		if err := s.instance.(sandbox.Signaler).Signal(t.Context(), signal); err != nil {
			t.Fatal(err)
		}
		if code == 0 { // not one that ends a program
			code = 143
			time.Sleep(20 * time.Millisecond)
			s.stop(time.Second)
		}
		if exit := s.wait(time.Second); exit.Code != code {
			t.Errorf("signal %d: exit %+v, want %d", signal, exit, code)
		}
	}
}

func TestLimits(t *testing.T) {
	cases := []struct {
		name   string
		body   string
		limits sandbox.Limits
		code   int
		out    string
		reason string
	}{
		{"time", `for (;;) { asm volatile(""); }`, sandbox.Limits{Wall: 200 * time.Millisecond}, 137, "up", "time limit of 200ms"},
		{"time asleep", `sleep(3600);`, sandbox.Limits{Wall: 200 * time.Millisecond}, 137, "up", "time limit of 200ms"},
		{"output", `for (;;) write(1, "0123456789", 10);`, sandbox.Limits{Output: 25}, 137, "up0123456789012345678901234"[:25], "output limit"},
		{"memory", `int n = 0; while (__builtin_wasm_memory_grow(0, 16) != -1) n++; return n;`, sandbox.Limits{Memory: 16 << 20}, 15, "up", ""},
		{"memory default", `int n = 0; while (__builtin_wasm_memory_grow(0, 256) != -1) n++; return n;`, sandbox.Limits{}, 31, "up", ""},
		{"recursion", `return leaf(deep(1));`, sandbox.Limits{}, 134, "up", "trap: "},
		{"processor time", `for (;;) { asm volatile(""); }`, sandbox.Limits{CPU: 200 * time.Millisecond}, 137, "up", "processor time limit of 200ms"},
		{"processor time asleep", `sleep(1); return 4;`, sandbox.Limits{CPU: 900 * time.Millisecond}, 4, "up", ""},
		{"memory used up", `for (;;) __builtin_wasm_memory_grow(0, 1) == -1 ? __builtin_trap() : 0;`, sandbox.Limits{Memory: 16 << 20}, 134, "up",
			"trap: wasm error: unreachable (it had 16 MiB of memory, and its limit is 16 MiB)"},
		{"few open files", `int n = 0; while (open_one() == 0) n++; return n;`, sandbox.Limits{Files: 10}, 6, "up", ""},
		{"many open files", `int n = 0; while (open_one() == 0) n++; return n == 2996 ? 9 : 1;`, sandbox.Limits{Files: 3000}, 9, "up", ""},
		{"trap", `__builtin_trap();`, sandbox.Limits{}, 134, "up", "trap: "},
		{"outside memory", `return *(volatile int *)0x7fffff00;`, sandbox.Limits{}, 134, "up", "trap: "},
		{"exit code", `exit(3);`, sandbox.Limits{}, 3, "up", ""},
		{"exit code too large", `exit(256);`, sandbox.Limits{}, 255, "up", ""},
		{"open files", `int n = 0; while (open_one() == 0) n++; return n == 1020 ? 9 : 1;`, sandbox.Limits{}, 9, "up", ""},
	}
	head := strings.Replace(busyHead, "int main", `
#include <wasi/api.h>
__attribute__((noinline)) int deep(volatile int n) { volatile char b[64]; b[0] = n; return deep(n + 1) + b[0]; }
int open_one(void) { __wasi_fd_t fd; return __wasi_path_open(3, 0, "f", 0, 2, 0, 0, &fd); }
int main`, 1)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := buildC(t, head+c.body+"}", "-O1", "-Wl,--stack-first", "-Wl,-z,stack-size=8388608")
			if strings.HasPrefix(c.name, "memory") {
				path = buildC(t, head+c.body+"}", "-O1")
			}
			s := begin(t, path, sandbox.Spec{Limits: c.limits, Mounts: []sandbox.Mount{{Source: dir, Target: "/"}}}, &testBroker{})
			exit := s.wait(30 * time.Second)
			if exit.Code != c.code || !strings.HasPrefix(exit.Reason, c.reason) || (c.reason == "") != (exit.Reason == "") {
				t.Errorf("exit %+v, want %d %q", exit, c.code, c.reason)
			}
			if s.out.String() != c.out {
				t.Errorf("output %q, want %q", s.out, c.out)
			}
		})
	}
}

// module puts sections together; they are pairs of id and body.
func module(sections ...string) []byte {
	out := []byte(wasmbin.Header)
	for _, s := range sections {
		out = append(out, s[0])
		out = wasmbin.AppendU32(out, uint32(len(s)-1))
		out = append(out, s[1:]...)
	}
	return out
}

func writeModule(t *testing.T, raw []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.wasm")
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const (
	typeNone    = "\x01\x01\x60\x00\x00"                     // type 0: () -> ()
	oneFunc     = "\x03\x01\x00"                             // function 0 of type 0
	exportStart = "\x07\x01\x06_start\x00\x00"               // function 0 as _start
	endless     = "\x0a\x01\x07\x00\x03\x40\x0c\x00\x0b\x0b" // loop br 0 end
)

// Guest code that the engine runs during instantiation can be stopped as well,
// and a module without a memory has interruption points.
func TestEndlessStartFunction(t *testing.T) {
	path := writeModule(t, module(typeNone, oneFunc, exportStart, "\x08\x00", endless))
	s := begin(t, path, sandbox.Spec{}, &testBroker{})
	time.Sleep(50 * time.Millisecond)
	if exit := s.stop(time.Second); exit.Code != 143 {
		t.Errorf("exit %+v", exit)
	}
}

// A module cannot reach the stop flag: the first global it does not have.
func TestStopFlagIsOutOfReach(t *testing.T) {
	body := "\x0a\x01\x06\x00\x41\x00\x24\x00\x0b"
	_, err := tryBegin(t, writeModule(t, module(typeNone, oneFunc, exportStart, body)), sandbox.Spec{}, &testBroker{})
	if err == nil || !strings.Contains(err.Error(), "global 0 does not exist") {
		t.Errorf("error %v", err)
	}
}

// bombs are small modules that cost an engine a lot.
func TestBombs(t *testing.T) {
	locals := func(n uint32) string {
		body := wasmbin.AppendU32([]byte{1}, n)
		body = append(body, 0x7b, 0x0b)
		return "\x0a\x01" + string(wasmbin.AppendU32(nil, uint32(len(body)))) + string(body)
	}
	deep := "\x00" + strings.Repeat("\x02\x40", 20_000) + strings.Repeat("\x0b", 20_001)
	manyLocals := func(functions int) []byte {
		body := "\x01\xd0\x86\x03\x7f\x0b" // 50,000 i32
		count := string(wasmbin.AppendU32(nil, uint32(functions)))
		return module(typeNone, "\x03"+count+strings.Repeat("\x00", functions), exportStart,
			"\x0a"+count+strings.Repeat(string(rune(len(body)))+body, functions))
	}
	cases := []struct {
		name   string
		module []byte
		want   string
	}{
		{"locals", module(typeNone, oneFunc, exportStart, locals(4_000_000_000)), "more than 50000 locals"},
		{"locals of many functions", manyLocals(10_000), "locals in all"},
		{"nesting", module(typeNone, oneFunc, exportStart,
			"\x0a\x01"+string(wasmbin.AppendU32(nil, uint32(len(deep))))+deep), "nested deeper"},
		{"large table", module(typeNone, oneFunc, "\x04\x01\x70\x00\xff\xff\xff\xff\x0f", exportStart, endless), "more than 1048576"},
		{"many tables", module(typeNone, oneFunc, "\x04\x20"+strings.Repeat("\x70\x00\x00", 32), exportStart, endless), "tables"},
		{"large memory", module(typeNone, oneFunc, "\x05\x01\x00\x80\x80\x04", exportStart, endless), "min 65536 pages"},
		{"types without content", module("\x01\xff\xff\xff\xff\x0f", oneFunc, exportStart, endless), "types"},
		{"parameters without content", module("\x01\x01\x60\xff\xff\xff\xff\x0f", oneFunc, exportStart, endless), "values"},
		{"elements without content", module(typeNone, oneFunc, exportStart, "\x09\x01\x01\x00\xff\xff\xff\xff\x0f", endless), "elements"},
		{"data without content", module(typeNone, oneFunc, exportStart, endless, "\x0b\x01\x01\xff\xff\xff\xff\x0f"), "data"},
		{"functions without content", module(typeNone, oneFunc, exportStart, "\x0a\xff\xff\xff\xff\x0f"), "functions"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			start := time.Now()
			_, err := tryBegin(t, writeModule(t, c.module), sandbox.Spec{}, &testBroker{})
			runtime.ReadMemStats(&after)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("took %s", took)
			}
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 64 {
				t.Errorf("took %d MiB", used)
			}
		})
	}
}

// table.grow stops at the clamp. The module exits with 0 once it is refused.
func TestTableGrowIsBounded(t *testing.T) {
	// loop { ref.null func; i32.const 65536; table.grow 0; i32.const -1; i32.ne; br_if 0 } end
	code := "\x00\x03\x40\xd0\x70\x41\x80\x80\x04\xfc\x0f\x00\x41\x7f\x47\x0d\x00\x0b\x0b"
	raw := module(typeNone, oneFunc, "\x04\x01\x70\x00\x01", exportStart, "\x0a\x01"+string(rune(len(code)))+code)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	s := begin(t, writeModule(t, raw), sandbox.Spec{}, &testBroker{})
	if exit := s.wait(10 * time.Second); exit.Code != 0 {
		t.Errorf("exit %+v", exit)
	}
	runtime.ReadMemStats(&after)
	if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > 128 {
		t.Errorf("took %d MiB", used)
	}
}

func TestCanceledStart(t *testing.T) {
	path := writeModule(t, module(typeNone, oneFunc, exportStart, endless))
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	spec := sandbox.Spec{Module: &sandbox.Module{Path: path}, Process: sandbox.Process{Stdio: [3]*os.File{null}}}
	if _, err = New(Config{}).Start(ctx, spec, &testBroker{}); err == nil {
		t.Fatal("started under a context that had ended")
	}
	if err := null.Close(); err == nil {
		t.Error("Start left its file open")
	}
}
