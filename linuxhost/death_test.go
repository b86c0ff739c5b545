//go:build linux

package linuxhost_test

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost"
)

// agentProcess starts another process with an app that sleeps for marker s.
func agentProcess(b *bench, marker string) *exec.Cmd {
	b.t.Helper()
	self, err := os.Executable()
	must(b.t, err)
	agent := exec.Command(self, "test-agent", self, b.state, b.image, marker)
	agent.Stderr = os.Stderr
	out, err := agent.StdoutPipe()
	must(b.t, err)
	must(b.t, agent.Start())
	b.t.Cleanup(func() { agent.Process.Kill(); agent.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "up\n" {
		b.t.Fatalf("agent says %q, %v", line, err)
	}
	if n := countProcesses(b.t, "sleep\x00"+marker); n != 1 {
		b.t.Fatalf("%d apps run", n)
	}
	return agent
}

// eventually waits for a condition that another process brings about.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	eventuallyWithin(t, what, 10*time.Second, holds)
}

func eventuallyWithin(t *testing.T, what string, most time.Duration, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > most {
			t.Fatalf("after %v not: %s", most, what)
		}
	}
}

// childrenOf returns the processes whose parent is pid.
func childrenOf(t *testing.T, pid int) []int {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	must(t, err)
	var children []int
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(raw), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			child, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			must(t, err)
			children = append(children, child)
		}
	}
	return children
}

// aloneWithMounts moves the test's thread, and the processes started from it,
// into a mount namespace that other tests of this machine do not change. The
// thread ends with the test.
func aloneWithMounts(t *testing.T) {
	t.Helper()
	runtime.LockOSThread()
	must(t, unix.Unshare(unix.CLONE_NEWNS))
	must(t, unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
}

// mountsHere leaves out the file system of eBPF pins, which the first host on a
// machine mounts for good.
func mountsHere(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/thread-self/mountinfo")
	must(t, err)
	var lines []string
	for line := range strings.Lines(string(raw)) {
		if !strings.Contains(line, " - bpf ") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

func TestKilledAgentLeavesNothing(t *testing.T) {
	b := newBench(t)
	aloneWithMounts(t)
	before := mountsHere(t)
	agent := agentProcess(b, nap(5001))
	launchers := childrenOf(t, agent.Process.Pid)
	must(t, agent.Process.Kill())
	eventually(t, "the app is dead", func() bool { return countProcesses(t, "sleep\x00"+nap(5001)) == 0 })
	eventually(t, "the launcher is dead", func() bool {
		for _, pid := range launchers {
			if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err == nil {
				return false
			}
		}
		return len(launchers) == 3 // the app's, and two that wait
	})
	if left := cgroupsLeft(t, b.state); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
	for line := range strings.Lines(mountsHere(t)) { // others' may have gone meanwhile
		if !strings.Contains(before, line) {
			t.Errorf("mount left: %s", line)
		}
	}
}

func TestKilledLauncherTakesTheAppAlong(t *testing.T) {
	b := newBench(t)
	agent := agentProcess(b, nap(5002))
	launchers := childrenOf(t, agent.Process.Pid)
	if len(launchers) != 3 {
		t.Fatalf("launchers %v", launchers)
	}
	for _, launcher := range launchers {
		kill(t, launcher)
	}
	eventually(t, "the app is dead", func() bool { return countProcesses(t, "sleep\x00"+nap(5002)) == 0 })
	if len(cgroupsLeft(t, b.state)) == 0 {
		t.Error("nothing for Cleanup to do: the test tests nothing")
	}
	must(t, linuxhost.Cleanup(context.Background(), b.state, nil))
	if left := cgroupsLeft(t, b.state); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
}

func TestKilledInitEndsTheRun(t *testing.T) {
	b := newBench(t)
	app, _ := launch(b, b.spec(sh("echo up; sleep "+nap(5003))...))
	for _, launcher := range childrenOf(t, os.Getpid()) {
		for _, pid := range childrenOf(t, launcher) {
			kill(t, pid)
		}
	}
	if exit := waitFor(t, app); exit.Code != 137 || exit.Reason == "" {
		t.Errorf("exit %+v", exit)
	}
	if n := countProcesses(t, "sleep\x00"+nap(5003)); n != 0 {
		t.Errorf("%d processes live on", n)
	}
}

// TestCleanupKillsWhatIsLeft: a process that stayed in the cgroup of a run
// whose launcher is gone.
func TestCleanupKillsWhatIsLeft(t *testing.T) {
	b := newBench(t)
	stray := exec.Command("sleep", nap(5004))
	must(t, stray.Start())
	for _, dir := range linuxhost.StateCgroups(b.state) {
		must(t, os.MkdirAll(filepath.Join(dir, "gone"), 0o755))
		must(t, os.WriteFile(filepath.Join(dir, "gone", "cgroup.procs"), []byte(strconv.Itoa(stray.Process.Pid)), 0o644))
	}
	ended := make(chan error, 1)
	go func() { ended <- stray.Wait() }()
	must(t, linuxhost.Cleanup(context.Background(), b.state, nil))
	select {
	case err := <-ended:
		if err == nil {
			t.Error("it ended by itself")
		}
	case <-time.After(5 * time.Second):
		t.Error("it lives")
		stray.Process.Kill()
	}
	if left := cgroupsLeft(t, b.state); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
}

func kill(t *testing.T, pid int) {
	t.Helper()
	p, err := os.FindProcess(pid)
	must(t, err)
	must(t, p.Kill())
}
