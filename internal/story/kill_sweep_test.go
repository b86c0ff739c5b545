//go:build linux

package story

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/killsweep"
	"github.com/consentry/consentry/internal/longtest"
)

const doomedNap = "7654.5" // nobody else sleeps so long

// lives are the steps of a run's life, from an image that was never here to one
// that is gone again.
func lives(flags ...string) [][]string {
	run := append([]string{"run", "-d", "--quiet", "--name", "doomed", "-v", "kept:/kept", "-p", "0:8000"}, flags...)
	return [][]string{
		append(run, built.image, "sh", "-c", "echo x > /kept/x; echo x > /etc/x; exec sleep "+doomedNap),
		{"allow", "doomed", "net.connect", webTarget, "--for", "1h"},
		{"exec", "doomed", "curl", "-sS", "--max-time", "60", "http://" + webName + "/"},
		{"snapshot", "create", "doomed", "one"},
		{"stop", "-t", "0", "doomed"},
		{"snapshot", "restore", "doomed", "one"},
		{"rm", "doomed"},
		{"revoke", "--all"},
		{"rmi", built.image},
		{"volume", "rm", "kept"},
		{"prune"},
	}
}

// underSweep starts the agent so that it can be killed at an effect.
func (w *world) underSweep() *killsweep.Sweep {
	w.t.Helper()
	self, err := os.Executable()
	must(w.t, err)
	w.agent = w.in(w.machine, self, built.program, "agent", "--foreground")
	w.agent.Env = append(w.agent.Env, "STORY_SWEEP=1")
	log, err := os.OpenFile(filepath.Join(w.home, "consentry.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(w.t, err)
	defer log.Close()
	w.agent.Stdout, w.agent.Stderr = log, log
	s, err := killsweep.Start(w.agent)
	must(w.t, err)
	agent := w.agent
	w.t.Cleanup(func() {
		agent.Process.Kill() // where a test has failed; else it is gone
		agent.Wait()
	})
	w.untilAnswered()
	return s
}

// endAgent ends the agent in its own time.
func (w *world) endAgent() {
	w.t.Helper()
	must(w.t, w.agent.Process.Signal(os.Interrupt))
	if err := w.agent.Wait(); err != nil {
		w.t.Errorf("the agent's end: %v", err)
	}
}

// bereaved runs a command by a client that has no agent to start.
func (w *world) bereaved(args ...string) result {
	w.t.Helper()
	program := filepath.Join(w.home, "alone", "consentry")
	if _, err := os.Stat(program); err != nil {
		must(w.t, os.MkdirAll(filepath.Dir(program), 0o755))
		w.run(exec.Command("cp", built.program, program))
	}
	cmd := w.cli(args...)
	cmd.Args[slices.Index(cmd.Args, built.program)] = program
	return w.running(cmd).wait()
}

// leftovers are what a life may leave on the disk: names below home.
func (w *world) leftovers() (list []string) {
	w.t.Helper()
	for _, folder := range []string{"images", "runs", "volumes", "modules", "reviews"} {
		must(w.t, filepath.WalkDir(filepath.Join(w.home, folder), func(path string, _ fs.DirEntry, err error) error {
			list = append(list, strings.TrimPrefix(path, w.home))
			return err
		}))
	}
	return list
}

// machineState is what a life may leave in the kernel: cards of the machine,
// and mounts of the agent's.
func (w *world) machineState() string {
	w.t.Helper()
	links := w.run(exec.Command("ip", "-o", "-n", w.machine, "link", "show"))
	mounts, err := os.ReadFile(fmt.Sprintf("/proc/%d/mountinfo", w.agent.Process.Pid))
	must(w.t, err)
	var state []string
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, w.home) || strings.Contains(line, "overlay") {
			state = append(state, line[strings.Index(line, "/"):])
		}
	}
	return fmt.Sprintf("%d cards, mounts %q", strings.Count(links, "\n"), state)
}

// cgroupsOf are the folders that hold the runs of this agent.
func (w *world) cgroupsOf() (folders []string) {
	w.t.Helper()
	found, err := filepath.Glob("/proc/[0-9]*/cmdline")
	must(w.t, err)
	for _, file := range found {
		line, err := os.ReadFile(file)
		if err != nil || string(line) != "sleep\x00"+doomedNap+"\x00" {
			continue
		}
		raw, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		must(w.t, err)
		for entry := range strings.Lines(string(raw)) {
			_, path, _ := strings.Cut(strings.TrimSpace(entry), "/consentry/")
			if state, _, inside := strings.Cut(path, "/"); inside {
				folders = append(folders, state)
			}
		}
	}
	slices.Sort(folders)
	return slices.Compact(folders)
}

func cgroupsBelow(states []string) (left []string) {
	for _, state := range states {
		for _, pattern := range []string{"/sys/fs/cgroup/consentry/" + state + "/*/", "/sys/fs/cgroup/*/consentry/" + state + "/*/"} {
			found, err := filepath.Glob(pattern)
			if err == nil {
				left = append(left, found...)
			}
		}
	}
	return left
}

func (w *world) grantsThere() (targets []string) {
	w.t.Helper()
	var list []struct{ Kind, Target string }
	r := w.bereaved("grants", "--json")
	if err := json.Unmarshal([]byte(r.out), &list); err != nil {
		w.t.Fatalf("grants: %v: %s%s", err, r.out, r.err)
	}
	for _, g := range list {
		targets = append(targets, g.Kind+" "+g.Target)
	}
	return targets
}

// TestKilledAtEveryEffect kills the agent at effects of a run's life, spread
// evenly over each of its steps, and begins anew.
func TestKilledAtEveryEffect(t *testing.T) {
	points, ways := 1, map[string][]string{"native": nil}
	if longtest.Wanted() {
		points, ways = 6, map[string][]string{"native": nil, "vm": {"--isolation", "vm"}}
	}
	for name, flags := range ways {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.endAgent()
			w.sweep(points, lives(flags...))
		})
	}
}

// slack is how many effects a step may have less than the first time: how often
// a log is synced, or a thread made, is up to the clock.
const slack = 4

// sweep kills at so many points of each step that does something.
func (w *world) sweep(points int, steps [][]string) {
	t := w.t
	s := w.underSweep()
	s.Begin(0)
	cgroups, ends := w.whole(s, steps)
	files, state := w.leftovers(), w.machineState()
	w.endAgent()
	must(t, s.Wait(t.Context()))
	t.Logf("effects by the end of each step: %v", ends)
	begin := 0
	for i, end := range ends {
		for n := range min(points, end-begin-slack) {
			at := begin + 1 + (2*n+1)*(end-begin-slack)/(2*points)
			s, tried, done := w.killedAt(at, steps)
			t.Logf("effect %d, in step %d %q: %s", at, i, steps[tried][0], s.Last)
			s = w.underSweep()
			if left := cgroupsBelow(cgroups); len(left) > 0 {
				t.Errorf("effect %d: cgroups are left: %v", at, left)
			}
			if got := w.machineState(); got != state {
				t.Errorf("effect %d: %s, want %s", at, got, state)
			}
			w.checkGrants(at, tried, done, steps)
			w.clear(steps)
			w.whole(s, steps)
			if got := w.leftovers(); !slices.Equal(got, files) {
				t.Errorf("effect %d: files %q, want %q", at, got, files)
			}
			w.endAgent()
			must(t, s.Wait(t.Context()))
		}
		begin = end
	}
}

// whole takes all steps. ends are the effects that there were by the end of each.
func (w *world) whole(s *killsweep.Sweep, steps [][]string) (cgroups []string, ends []int) {
	w.t.Helper()
	for i, step := range steps {
		if r := w.bereaved(step...); r.code != 0 {
			w.t.Fatalf("%v: exit %d: %s%s", step, r.code, r.out, r.err)
		}
		if i == 0 {
			w.until("the app is in its cgroup", func() bool {
				cgroups = w.cgroupsOf()
				return len(cgroups) > 0
			})
		}
		n, _ := s.Count()
		ends = append(ends, n)
	}
	return cgroups, ends
}

// killedAt starts an agent that ends at an effect of its life, and waits until
// nothing that came from it is left.
func (w *world) killedAt(at int, steps [][]string) (s *killsweep.Sweep, tried int, done bool) {
	w.t.Helper()
	s = w.underSweep()
	s.Begin(at)
	tried, done = w.untilKilled(s, steps)
	//nolint:errcheck // it was killed
	w.agent.Wait()
	patience, cancel := context.WithTimeout(w.t.Context(), time.Minute)
	defer cancel()
	if err := s.Wait(patience); err != nil {
		w.t.Fatalf("effect %d (%s): %v", at, s.Last, err)
	}
	return s, tried, done
}

// untilKilled takes the steps until the agent is killed; tried is the last one,
// and done says whether it was answered well.
func (w *world) untilKilled(s *killsweep.Sweep, steps [][]string) (tried int, done bool) {
	w.t.Helper()
	for tried = range steps {
		r := w.bereaved(steps[tried]...)
		if _, killed := s.Count(); killed {
			return tried, r.code == 0
		}
		if r.code != 0 {
			w.t.Fatalf("%v: exit %d: %s%s", steps[tried], r.code, r.out, r.err)
		}
	}
	w.t.Fatalf("there were fewer effects this time")
	return 0, false
}

// checkGrants: what was given, and said to be given, is there; nothing else is.
func (w *world) checkGrants(at, tried int, done bool, steps [][]string) {
	w.t.Helper()
	allow, revoke := stepNamed(steps, "allow"), stepNamed(steps, "revoke")
	got := w.grantsThere()
	have := slices.Contains(got, "net.connect "+webTarget)
	given := tried > allow || tried == allow && done
	taken := tried > revoke || tried == revoke && done
	switch {
	case len(got) > 1 || len(got) == 1 && !have:
		w.t.Errorf("effect %d: grants nobody gave: %v", at, got)
	case have && (tried < allow || taken):
		w.t.Errorf("effect %d: a grant that is not given, or was taken back", at)
	case !have && given && tried < revoke:
		w.t.Errorf("effect %d: a grant is lost", at)
	}
	if r := w.bereaved("log", "verify"); r.code != 0 {
		w.t.Errorf("effect %d: the ledger: %s%s", at, r.out, r.err)
	}
}

func stepNamed(steps [][]string, name string) int {
	return slices.IndexFunc(steps, func(s []string) bool { return s[0] == name })
}

// clear takes away what a cut-off life left of what the user asked for.
func (w *world) clear(steps [][]string) {
	w.t.Helper()
	var runs []struct{ Name, State string }
	r := w.bereaved("ps", "-a", "--json")
	if err := json.Unmarshal([]byte(r.out), &runs); err != nil {
		w.t.Fatalf("ps: %v: %s%s", err, r.out, r.err)
	}
	for _, run := range runs {
		if run.State == "running" {
			w.t.Errorf("%s runs again", run.Name)
		}
		w.bereaved("rm", "--force", run.Name)
	}
	for _, step := range steps[stepNamed(steps, "rm")+1:] {
		w.bereaved(step...) // what is not there cannot be removed
	}
}
