//go:build linux

package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// greeting is a module that writes "hi" and a newline.
const greeting = "\x00asm\x01\x00\x00\x00" +
	"\x01\x0c\x02\x60\x04\x7f\x7f\x7f\x7f\x01\x7f\x60\x00\x00" +
	"\x02\x23\x01\x16wasi_snapshot_preview1\x08fd_write\x00\x00" +
	"\x03\x02\x01\x01" +
	"\x05\x03\x01\x00\x01" +
	"\x07\x13\x02\x06memory\x02\x00\x06_start\x00\x01" +
	"\x0a\x0f\x01\x0d\x00\x41\x01\x41\x00\x41\x01\x41\x0c\x10\x00\x1a\x0b" + // fd_write(1, iovec at 0, 1, n at 12)
	"\x0b\x11\x01\x00\x41\x00\x0b\x0b\x08\x00\x00\x00\x03\x00\x00\x00hi\n"

// nobody refuses everything.
type nobody struct{ sandbox.Broker }

func newHost(t *testing.T) *Host {
	p := newPool(t)
	p.Waits = Warm
	h := &Host{Workers: p}
	t.Cleanup(func() { h.Close() })
	return h
}

// moduleSpec is a run of a module of its own folder, with one for its code.
func moduleSpec(t *testing.T) sandbox.Spec {
	path := filepath.Join(t.TempDir(), "hi.wasm")
	if err := os.WriteFile(path, []byte(greeting), 0o600); err != nil {
		t.Fatal(err)
	}
	return sandbox.Spec{Name: "hi", Module: &sandbox.Module{Path: path, Cache: t.TempDir()}}
}

// greets runs spec to its end and fails unless it wrote its greeting.
func greets(t *testing.T, h *Host, spec sandbox.Spec) {
	t.Helper()
	out := withOutput(t, &spec)
	instance, err := h.Start(t.Context(), spec, nobody{})
	if err != nil {
		t.Fatal(err)
	}
	exit, err := instance.Wait(t.Context())
	wrote, readErr := os.ReadFile(out)
	if err != nil || readErr != nil || exit.Code != 0 || string(wrote) != "hi\n" {
		t.Fatalf("%+v, %v; wrote %q, %v", exit, err, wrote, readErr)
	}
}

// withOutput gives spec standard files, and returns the name of its output.
func withOutput(t *testing.T, spec *sandbox.Spec) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	for i, name := range []string{os.DevNull, out, os.DevNull} {
		file, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		spec.Process.Stdio[i] = file
	}
	return out
}

// awaitLoaded returns the workers that wait with a module, once there are n.
func awaitLoaded(t *testing.T, h *Host, n int) []*Client {
	t.Helper()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		waiting := h.loaded.ready.Waiting()
		if len(waiting) == n {
			return waiting
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%d workers wait with a module, not %d", len(waiting), n)
		}
	}
}

// A module that ran waits loaded and confined, and the next run of it is there.
func TestAModuleThatRanWaitsLoaded(t *testing.T) {
	h, spec := newHost(t), moduleSpec(t)
	greets(t, h, spec)
	waiting := awaitLoaded(t, h, 1)[0]
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", waiting.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"\nSeccomp:\t2\n", "\nNoNewPrivs:\t1\n", "\nCapEff:\t0000000000000000\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("a worker that has read a module has no %q", want)
		}
	}
	if _, err := waiting.handle(t.Context(), "broker.dial", []byte(`{}`), nil); err == nil {
		t.Error("it was answered before it has a run")
	}
	greets(t, h, spec)
	<-waiting.Ended()
	if again := awaitLoaded(t, h, 1)[0]; again == waiting {
		t.Error("a worker served two runs")
	}
}

// What a waiting worker was not confined to, it does not get.
func TestALoadedModuleServesNoOtherRun(t *testing.T) {
	h, spec := newHost(t), moduleSpec(t)
	greets(t, h, spec)
	waiting := awaitLoaded(t, h, 1)[0]
	folder, memory, other := spec, spec, moduleSpec(t)
	folder.Mounts = []sandbox.Mount{{Source: t.TempDir(), Target: "/"}}
	memory.Limits.Memory = 16 << 20
	changed := spec
	changed.Module = &sandbox.Module{Path: spec.Module.Path, Cache: spec.Module.Cache, Digest: "sha256:00"}
	for name, spec := range map[string]sandbox.Spec{"a folder": folder, "a limit": memory, "a module": other, "a digest": changed} {
		if c, ok := h.loaded.take(spec); ok {
			t.Errorf("another run for %s took worker %d", name, c.PID())
			c.Close()
		}
	}
	if _, err := waiting.peer.Call(t.Context(), verbLoad, loadJobOf(other), nil); err == nil {
		t.Error("it loaded another module")
	}
	withOutput(t, &folder)
	defer fdwire.CloseAll(folder.Process.Stdio[:])
	if _, err := waiting.peer.Call(t.Context(), verbModule, moduleJob{Spec: folder}, nil, folder.Process.Stdio[:]...); err == nil {
		t.Error("it took a run with a folder that it cannot open")
	}
	greets(t, h, memory) // by a worker of its own
}

// Of a run that has ended nothing is in the next one's worker.
func TestNothingOfARunIsInALoadJob(t *testing.T) {
	call := &sandbox.ModuleCall{Function: "f", Plugin: true, Input: []byte("secret"), Stdin: true, Config: map[string]string{"key": "secret"}}
	spec := sandbox.Spec{ID: "a", Module: &sandbox.Module{Path: "/m.wasm", Call: call}}
	spec.Process.Env = []string{"TOKEN=secret"}
	job := loadJobOf(spec)
	if text := fmt.Sprintf("%+v %+v", job, *job.Module.Call); strings.Contains(text, "secret") || job.Module.Call.Function != "f" {
		t.Errorf("it has %s", text)
	}
	if spec.Module.Call.Input == nil {
		t.Error("the run lost its input")
	}
}

// Two modules wait, those that ran last.
func TestTheModulesThatRanLastWait(t *testing.T) {
	h := newHost(t)
	var specs []sandbox.Spec
	for range readyModules + 1 {
		spec := moduleSpec(t)
		specs = append(specs, spec)
		greets(t, h, spec)
		awaitLoaded(t, h, min(len(specs), readyModules))
	}
	for i, spec := range specs {
		c, ok := h.loaded.take(spec)
		if ok != (i > 0) {
			t.Errorf("module %d of %d waits: %t", i+1, len(specs), ok)
		}
		if ok {
			defer c.Close()
		}
	}
}
