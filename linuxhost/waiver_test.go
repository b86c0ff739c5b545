//go:build linux

package linuxhost_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// program builds the real program: the race detector's memory is more than an
// rlimit of data allows.
func program(t testing.TB) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "consentry-agent")
	build := exec.Command("go", "build", "-o", path, "../cmd/consentry-agent")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return path
}

// bareReport is what an agent on a machine without cgroups saw of a run.
type bareReport struct {
	Error   string          `json:"error,omitempty"`
	Wall    bool            `json:"wall"` // the error is about a missing wall or part
	Posture sandbox.Posture `json:"posture"`
	Out     string          `json:"out"`
}

// bareRole is an agent that sees no cgroup hierarchy: args are the program to start, the image, the
// state directory, and what is waived.
func bareRole(args []string) int {
	report := bareRun(args[0], args[1], args[2], args[3:])
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		return 1
	}
	return 0
}

func bareRun(program, image, state string, waived []string) (report bareReport) {
	fail := func(err error) bareReport {
		report.Error, report.Wall = err.Error(), errors.Is(err, sandbox.ErrNotSupported)
		return report
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	text := collect(r)
	host := linuxhost.New(linuxhost.Config{Self: program, StateDir: state})
	script := "ulimit -u; (i=0; while [ $i -lt 60 ]; do sleep 9 & i=$((i+1)); done; echo all started); exec sleep 3"
	app, err := host.Start(context.Background(), sandbox.Spec{
		ID: "bare", Name: "bare", Waived: waived, Limits: sandbox.Limits{PIDs: 20, Memory: 256 << 20},
		Process: sandbox.Process{Args: sh(script), Env: []string{"PATH=/bin"}, User: sandbox.User{UID: 1000, GID: 1000}, Stdio: [3]*os.File{nil, w}},
		Image:   &sandbox.Image{Lower: []string{image}, IDBase: idBase},
	}, nil)
	if err != nil {
		return fail(err)
	}
	time.Sleep(200 * time.Millisecond)
	if report.Posture, err = app.Posture(context.Background()); err != nil {
		return fail(err)
	}
	if _, err := app.Wait(context.Background()); err != nil {
		return fail(err)
	}
	report.Out = <-text
	return report
}

// bare runs bareRole where no cgroups are mounted.
func (b *bench) bare(waived ...string) bareReport {
	b.t.Helper()
	self, err := os.Executable()
	must(b.t, err)
	const script = `while umount /sys/fs/cgroup 2>/dev/null || umount -R /sys/fs/cgroup/* 2>/dev/null; do :; done
grep -q ' - cgroup' /proc/self/mountinfo && exit 9; exec "$@"`
	cmd := exec.Command("sh", append([]string{"-c", script, "sh", self, "test-bare", program(b.t), b.image, b.state}, waived...)...)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	out, err := cmd.Output()
	must(b.t, err)
	var report bareReport
	must(b.t, json.Unmarshal(out, &report))
	return report
}

func TestWithoutCgroupsTheUserMustSaySo(t *testing.T) {
	b := newBench(t)
	for _, waived := range [][]string{nil, {sandbox.WaiveLSM}} {
		got := b.bare(waived...)
		if !got.Wall || !strings.Contains(got.Error, "--waive cgroup-limits") {
			t.Errorf("waived %v: %+v", waived, got)
		}
	}
	got := b.bare(sandbox.WaiveCgroup, sandbox.WaiveLSM)
	if got.Error != "" {
		t.Fatal(got.Error)
	}
	found := false
	for _, w := range got.Posture.Walls {
		if w.Waiver == sandbox.WaiveCgroup {
			found = true
			if w.Stands || !w.Waived || !w.Required || !strings.Contains(w.Detail, "pids: no controller") {
				t.Errorf("wall %+v", w)
			}
			continue
		}
		if w.Waiver != sandbox.WaiveLSM && (w.Required && !w.Stands || w.Waived) {
			t.Errorf("wall %+v", w)
		}
	}
	if !found {
		t.Error("posture is silent about cgroups")
	}
	if !strings.HasPrefix(got.Out, "36\n") || strings.Contains(got.Out, "all started") {
		t.Errorf("rlimits do not stand in for cgroups: %q", got.Out)
	}
}

func TestUnknownWaiverIsRefused(t *testing.T) {
	b := newBench(t)
	spec := b.spec("true")
	spec.Waived = []string{"seccomp"}
	if _, err := b.try(spec); !errors.Is(err, sandbox.ErrInvalid) {
		t.Fatal(err)
	}
	spec = b.spec("true")
	spec.Waived = []string{sandbox.WaiveCgroup, sandbox.WaiveLSM} // the first stands here, so it is not waived
	got := b.run(spec, func(app sandbox.Instance) {
		p, err := app.Posture(context.Background())
		if err != nil { // it has ended
			return
		}
		for _, w := range p.Walls {
			if w.Waived && w.Waiver != sandbox.WaiveLSM {
				t.Errorf("waived: %+v", w)
			}
		}
	})
	if got.exit.Code != 0 {
		t.Fatalf("%+v", got)
	}
}
