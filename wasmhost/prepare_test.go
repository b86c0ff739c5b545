package wasmhost

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// marked is a module that writes a line to the file that is its standard output.
func marked(t *testing.T) (spec sandbox.Spec, out string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hello.wasm")
	const code = 17 // bytes of the section, which is the last
	module := small[:len(small)-code] +
		"\x0a\x0f\x01\x0d\x00\x41\x01\x41\x00\x41\x01\x41\x0c\x10\x00\x1a\x0b" + // fd_write(1, iovec at 0, 1, n at 12)
		"\x0b\x11\x01\x00\x41\x00\x0b\x0b\x08\x00\x00\x00\x03\x00\x00\x00hi\n"
	if err := os.WriteFile(path, []byte(module), 0o600); err != nil {
		t.Fatal(err)
	}
	out = filepath.Join(t.TempDir(), "out")
	file, err := os.Create(out)
	if err != nil {
		t.Fatal(err)
	}
	spec = sandbox.Spec{Name: "hello", Module: &sandbox.Module{Path: path}}
	spec.Process.Stdio[1] = file
	return spec, out
}

func wrote(t *testing.T, path string) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// A prepared module runs when it is begun, not before, and once.
func TestAPreparedModuleWaits(t *testing.T) {
	spec, out := marked(t)
	module, begin, err := New(Config{}).Prepare(t.Context(), spec, &testBroker{})
	if err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if got := wrote(t, out); got != "" {
		t.Errorf("before it was begun it wrote %q", got)
	}
	begin()
	begin()
	if exit, err := module.Wait(t.Context()); err != nil || exit.Code != 0 || wrote(t, out) != "hi\n" {
		t.Errorf("%+v, %v, wrote %q", exit, err, wrote(t, out))
	}
}

// What ends it before makes it end without an instruction of it.
func TestAPreparedModuleThatIsStoppedNeverRuns(t *testing.T) {
	spec, out := marked(t)
	module, begin, err := New(Config{}).Prepare(t.Context(), spec, &testBroker{})
	if err != nil {
		t.Fatal(err)
	}
	if err := module.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin()
	if exit, err := module.Wait(t.Context()); err != nil || exit.Reason != "stopped" || wrote(t, out) != "" {
		t.Errorf("%+v, %v, wrote %q", exit, err, wrote(t, out))
	}
}

func TestWarm(t *testing.T) {
	if err := New(Config{}).Warm(t.Context()); err != nil {
		t.Error(err)
	}
}
