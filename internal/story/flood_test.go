//go:build linux

package story

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/router"
)

// Row 39: SYNs and names without end; 10,000 and 100,000 with CONSENTRY_LONG=1,
// fewer without, but more than an app may have. The app that sends them gets less;
// another works on meanwhile, and what both make the agent and a worker hold is
// bounded.
func TestAFloodStarvesItsOwnApp(t *testing.T) {
	someSYNs, someNames := 2*router.DefaultHeld, router.DefaultNames+4000
	if os.Getenv("CONSENTRY_LONG") != "" {
		someSYNs, someNames = 10_000, 100_000
	}
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--name", "flood", "--hold", "60s", built.image, "sleep", "1000")
	w.want("run", "-d", "--quiet", "--name", "other", "--no-input", built.image, "sleep", "1000")
	w.want("allow", "other", "net.connect", webTarget)
	agent := memoryOf(t, w.agentPID())
	stop := "/tmp/stop" // inside
	neighbour := w.start("exec", "other", "sh", "-c", fmt.Sprintf(
		`while [ ! -e %s ]; do curl -4sf -m 20 -o /dev/null http://%s/ && echo good || echo bad; done`, stop, webName))
	w.until("the other app works", func() bool { return strings.Contains(neighbour.out.String(), "good") })
	before := strings.Count(neighbour.out.String(), "good")

	syns := w.numbers("syn-flood", someSYNs)
	if n := syns["held"]; syns["tried"] != someSYNs || n == 0 || n > router.DefaultHeld {
		t.Errorf("of %d SYNs %d were held", syns["tried"], n)
	}
	names := w.numbers("name-flood", someNames)
	if n := names["made up"]; n == 0 || n > router.DefaultNames || names["refused"] == 0 {
		t.Errorf("of %d names %d have an address, %d were refused one", someNames, n, names["refused"])
	}
	during := strings.Count(neighbour.out.String(), "good") - before

	w.want("exec", "other", "touch", stop)
	r := neighbour.wait()
	if bad := strings.Count(r.out, "bad"); bad > 0 || during == 0 {
		t.Errorf("the other app reached its server %d times during the floods; %d times it did not", during, bad)
	}
	grown := memoryOf(t, w.agentPID()) - agent
	var largest int64
	for _, pid := range w.workers() {
		largest = max(largest, memoryOf(t, pid))
	}
	t.Logf("SYNs %v; names %v; the other app's requests: %d; the worker has %d MiB, the agent %d more than before", syns, names, during, largest>>20, grown>>20)
	if largest == 0 || largest > 150<<20 || grown > 150<<20 {
		t.Errorf("the worker has %d MiB, the agent %d more than before", largest>>20, grown>>20)
	}
	if r := w.result("exec", "flood", "true"); r.code != 0 {
		t.Errorf("the app itself is broken: %s", r.err)
	}
}

// numbers are what a flood of the app "flood" tells.
func (w *world) numbers(probe string, count int) map[string]int {
	w.t.Helper()
	report := w.attack("flood", probe, fmt.Sprintf("count=%d", count))
	found := map[string]int{}
	for _, a := range report.Attempts {
		n, err := strconv.Atoi(a.Result)
		if err != nil {
			w.t.Errorf("%s: %s: %s", probe, a.Try, a.Result)
		}
		found[a.Try] = n
	}
	if report.Exit.Code != 0 || len(found) == 0 {
		w.t.Fatalf("%s: exit %d, %s", probe, report.Exit.Code, report.Stderr)
	}
	return found
}

// workers are the agent's children that meet apps' bytes.
func (w *world) workers() (pids []int) {
	w.t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", w.agentPID()))
	must(w.t, err)
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for _, word := range strings.Fields(string(raw)) {
			line, err := os.ReadFile("/proc/" + word + "/cmdline")
			if words := strings.Split(string(line), "\x00"); err != nil || len(words) < 2 || words[1] != worker.Name {
				continue
			}
			pid, err := strconv.Atoi(word)
			must(w.t, err)
			pids = append(pids, pid)
		}
	}
	return pids
}

// memoryOf is what a process has resident, in bytes.
func memoryOf(t *testing.T, pid int) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	for line := range strings.Lines(string(raw)) {
		if text, found := strings.CutPrefix(line, "VmRSS:"); found {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(text), " kB"), 10, 64)
			must(t, err)
			return kib << 10
		}
	}
	t.Fatalf("%d has no memory: %s", pid, raw)
	return 0
}
