package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// TestMain lets this program be every process of the benchmark.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "serve", "load", "agent":
			if err := start(os.Args[1:]); err != nil {
				os.Stderr.WriteString(err.Error() + "\n")
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// TestWorkerAtRest looks at the process that routes for an app, as it ships: what
// it holds when the app does nothing, and when it has ten thousand flows open.
func TestWorkerAtRest(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Skip("needs ip of iproute2")
	}
	const (
		flows     = 10_000
		mostIdle  = 25 << 20  // bytes resident
		mostFlows = 100 << 20 // the same, with all flows
		still     = 2 * time.Second
		mostCPU   = 100 * time.Millisecond // in that time
	)
	program := filepath.Join(t.TempDir(), "consentry-worker")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "../../cmd/consentry-worker")
	build.Env = append(os.Environ(), "CGO_ENABLED=0") // as it ships
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the worker: %v\n%s", err, out)
	}
	w, err := newWorld("", program)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	n, err := w.up(t.Context(), peers[0], sandbox.LinkMTU)
	if err != nil {
		t.Fatal(err)
	}
	defer n.stop()
	atRest := func(what string, most int64) {
		t.Helper()
		before := cpuTime(n.pid)
		time.Sleep(still)
		held, used := resident(n.pid), cpuTime(n.pid)-before
		t.Logf("%s: %.1f MB resident, %v of CPU in %v", what, float64(held)/(1<<20), used, still)
		if held == 0 || held > most {
			t.Errorf("%s: the worker holds %d bytes, want at most %d", what, held, most)
		}
		if used > mostCPU {
			t.Errorf("%s: the worker used %v of CPU in %v", what, used, still)
		}
	}
	atRest("idle", mostIdle)
	p, err := w.start(n.netns, "/proc/self/exe", "load", n.target+":"+w.port, "idle", strconv.Itoa(flows))
	if err != nil {
		t.Fatal(err)
	}
	defer p.stop()
	if line, err := p.line(); err != nil || line != strconv.Itoa(flows) {
		t.Fatalf("%q flows, %v", line, err)
	}
	time.Sleep(time.Second) // the last ones linger
	atRest("with 10,000 idle flows", mostFlows)
}
