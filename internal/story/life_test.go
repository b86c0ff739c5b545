//go:build linux

package story

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// inspect is what the agent knows of a run.
func (w *world) inspect(name string) (d api.RunDetail) {
	w.t.Helper()
	r := w.result("inspect", name)
	if err := json.Unmarshal([]byte(r.out), &d); err != nil {
		w.t.Fatalf("inspect %s: exit %d, %v: %s", name, r.code, err, r.err)
	}
	return d
}

// detach starts an app that stays.
func (w *world) detach(name string, flags []string, args ...string) {
	w.t.Helper()
	line := append([]string{"run", "-d", "--quiet", "--name", name}, flags...)
	line = append(append(line, built.image), args...)
	if r := w.result(line...); r.code != 0 {
		w.t.Fatalf("run %s: exit %d: %s", name, r.code, r.err)
	}
}

func (w *world) lines(name string) int {
	w.t.Helper()
	return strings.Count(w.result("logs", name).out, "\n")
}

func TestPausedAppsWait(t *testing.T) {
	w := newWorld(t)
	w.detach("tick", nil, "sh", "-c", "while :; do echo tick; sleep 0.05; done")
	w.until("it ticks", func() bool { return w.lines("tick") > 2 })
	w.posture("tick")
	if r := w.result("pause", "tick"); r.code != 0 {
		t.Fatal(r.err)
	}
	time.Sleep(200 * time.Millisecond) // what was under way arrives
	before := w.lines("tick")
	time.Sleep(500 * time.Millisecond)
	if after := w.lines("tick"); after != before {
		t.Errorf("a paused app wrote %d lines", after-before)
	}
	w.posture("tick")
	if r := w.result("ps"); !strings.Contains(r.out, "(paused)") {
		t.Errorf("ps is silent about the pause: %s", r.out)
	}
	if r := w.result("exec", "tick", "true"); r.code == 0 || !strings.Contains(r.err, "paused") {
		t.Errorf("exec in a paused app: exit %d, %s", r.code, r.err)
	}
	if r := w.result("unpause", "tick"); r.code != 0 {
		t.Fatal(r.err)
	}
	w.until("it ticks again", func() bool { return w.lines("tick") > before+2 })
	if r := w.result("unpause", "tick"); r.code == 0 {
		t.Error("a running app was unpaused")
	}
	for _, end := range [][]string{{"stop", "-t", "5"}, {"kill"}} {
		w.result("start", "tick")
		if r := w.result("pause", "tick"); r.code != 0 {
			t.Fatal(r.err)
		}
		if r := w.result(append(end, "tick")...); r.code != 0 {
			t.Fatalf("%v of a paused app: %s", end, r.err)
		}
		w.until("it has ended", func() bool { return w.inspect("tick").State == api.Exited })
	}
}

func TestRestartPolicies(t *testing.T) {
	w := newWorld(t)
	w.detach("thrice", []string{"--restart", "on-failure:2"}, "sh", "-c", "echo again; exit 3")
	w.until("it was started three times", func() bool {
		d := w.inspect("thrice")
		return d.State == api.Exited && d.Restarts == 2 && w.lines("thrice") == 3
	})
	w.detach("fine", []string{"--restart", "on-failure"}, "true")
	w.until("it has ended", func() bool { return w.inspect("fine").State == api.Exited })
	w.detach("always", []string{"--restart", "always"}, "sh", "-c", "echo again; sleep 0.2")
	w.until("it was restarted", func() bool { return w.lines("always") > 1 })
	if r := w.result("stop", "always"); r.code != 0 {
		t.Fatal(r.err)
	}
	count := w.lines("always")
	time.Sleep(700 * time.Millisecond)
	if w.inspect("always").State != api.Exited || w.lines("always") != count {
		t.Errorf("what the user stopped runs again: %s", w.inspect("always").State)
	}
	if d := w.inspect("fine"); d.Restarts != 0 {
		t.Errorf("what went well was restarted %d times", d.Restarts)
	}
	if r := w.result("run", "--rm", "--restart", "always", built.image, "true"); r.code != 125 || !strings.Contains(r.err, "--rm") {
		t.Errorf("--rm with --restart: exit %d, %s", r.code, r.err)
	}
}

func TestRestartAfterTheAgent(t *testing.T) {
	w := newWorld(t)
	for _, name := range []string{"kept", "stopped"} {
		w.detach(name, []string{"--restart", "unless-stopped"}, "sleep", "600")
	}
	w.detach("plain", nil, "sleep", "600")
	w.result("stop", "-t", "0", "stopped")
	must(t, w.agent.Process.Kill())
	w.until("the agent is gone", func() bool { return w.agentPID() == 0 })
	w.startAgent()
	w.until("what is kept runs again", func() bool { return w.inspect("kept").State == api.Running })
	for _, name := range []string{"stopped", "plain"} {
		if d := w.inspect(name); d.State != api.Exited {
			t.Errorf("%s is %s", name, d.State)
		}
	}
}

func TestHealthIsShown(t *testing.T) {
	w := newWorld(t)
	w.detach("sick", []string{"--health-cmd", "echo looking; test -e /tmp/well", "--health-interval", "150ms", "--health-retries", "2"}, "sleep", "600")
	status := func() string {
		if h := w.inspect("sick").Health; h != nil {
			return h.Status
		}
		return ""
	}
	w.until("it is unhealthy", func() bool { return status() == api.Unhealthy })
	if h := w.inspect("sick").Health; h.Last == nil || h.Last.Code != 1 || h.Last.Output != "looking\n" {
		t.Errorf("the last probe: %+v", h.Last)
	}
	if r := w.result("exec", "sick", "touch", "/tmp/well"); r.code != 0 {
		t.Fatal(r.err)
	}
	w.until("it is healthy", func() bool { return status() == api.Healthy })
	if r := w.result("ps"); !strings.Contains(r.out, "(healthy)") {
		t.Errorf("ps is silent about health: %s", r.out)
	}
}

func TestOutOfMemoryIsSaid(t *testing.T) {
	w := newWorld(t)
	r := w.result("run", "--quiet", "--name", "hungry", "--memory", "64m", built.image, "python3", "-c", "x = bytearray(300 << 20)")
	if r.code != 137 {
		t.Fatalf("exit %d: %s", r.code, r.err)
	}
	if d := w.inspect("hungry"); d.Exit == nil || !d.Exit.OOM {
		t.Errorf("inspect says %+v", d.Exit)
	}
	if r := w.result("ps", "-a"); !strings.Contains(r.out, "(out of memory)") {
		t.Errorf("ps says %s", r.out)
	}
}
