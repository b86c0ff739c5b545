//go:build linux

package linuxhost_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// inside is for tests that TestRootless and TestRootlessPoor run as a user; by
// themselves, as root, they have nothing to show.
func inside(t *testing.T) bool {
	t.Helper()
	if os.Getenv(rootlessEnv) == "" {
		t.Log("runs as a user only: see TestRootless")
		return false
	}
	return true
}

// wall finds a line of posture.
func wall(t *testing.T, walls []sandbox.Wall, name string) sandbox.Wall {
	t.Helper()
	for _, w := range walls {
		if w.Name == name {
			return w
		}
	}
	t.Fatalf("no wall %q in %+v", name, walls)
	return sandbox.Wall{}
}

func postureOf(b *bench, spec sandbox.Spec) sandbox.Posture {
	b.t.Helper()
	app, _ := launch(b, spec)
	p, err := app.Posture(context.Background())
	must(b.t, err)
	must(b.t, app.Stop(context.Background()))
	return p
}

func TestAUserHasPostureAndShares(t *testing.T) {
	if !inside(t) {
		return
	}
	b := newBench(t)
	p := postureOf(b, b.spec(sh("echo up; exec sleep 60")...))
	must(t, p.Missing())
	ids := wall(t, p.Walls, "user namespace").Detail
	if uid, sub := asuser.Self(t); !strings.Contains(ids, fmt.Sprint(uid)) || !strings.Contains(ids, fmt.Sprint(sub)) {
		t.Errorf("the ids are said to be %q", ids)
	}
	if lsm := wall(t, p.Walls, "eBPF LSM"); lsm.Stands || !lsm.Waived || !strings.Contains(lsm.Detail, "user") {
		t.Errorf("%+v", lsm)
	}
	if groups := wall(t, p.Walls, "cgroup limits"); !groups.Stands {
		t.Errorf("%+v", groups)
	}
	folder := t.TempDir()
	must(t, os.WriteFile(filepath.Join(folder, "mine"), []byte("mine\n"), 0o600))
	for _, readOnly := range []bool{true, false} {
		spec := b.spec(sh("cat /in/mine; echo new >/in/new && echo written")...)
		spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/in", ReadOnly: readOnly}}
		want := map[bool]string{true: "mine\n", false: "mine\nwritten\n"}[readOnly]
		if got := b.run(spec); got.out != want {
			t.Errorf("read-only %v: %+v", readOnly, got)
		}
	}
	if uid, _ := ownerOf(t, filepath.Join(folder, "new")); uid != 0 {
		t.Errorf("a new file in the share belongs to %d, not to the user", uid)
	}
	if _, err := os.ReadFile("/etc/shadow"); !errors.Is(err, os.ErrPermission) {
		t.Errorf("this namespace's root reads the machine's /etc/shadow: %v", err)
	}
}

func TestAUserWithOneID(t *testing.T) {
	if !inside(t) {
		return
	}
	b := newBench(t)
	spec := b.spec(sh("id -u; id -G; echo x >/bin/f && stat -c %u /bin/f; chown 5 /bin/f 2>/dev/null || echo no other id")...)
	spec.Process.User = sandbox.User{UID: 1000, GID: 1000, Groups: []uint32{1000}}
	if got := b.run(spec); !strings.HasPrefix(got.out, "0\n0") || !strings.HasSuffix(got.out, "\n0\nno other id\n") {
		t.Errorf("%+v", got)
	}
	p := postureOf(b, b.spec(sh("echo up; exec sleep 60")...))
	must(t, p.Missing())
	if ids := wall(t, p.Walls, "user namespace").Detail; !strings.Contains(ids, "no other") {
		t.Errorf("the one id is said to be %q", ids)
	}
}

func TestAUserWithoutCgroups(t *testing.T) {
	if !inside(t) {
		return
	}
	self, err := os.Executable()
	must(t, err)
	host := linuxhost.New(linuxhost.Config{Self: self, StateDir: t.TempDir()})
	if err := host.Check(t.Context()); !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), "Delegate=yes") {
		t.Errorf("Check says %v", err)
	}
	b := bareBench(t)
	if _, err := b.try(b.spec("true")); !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), "--waive cgroup-limits") {
		t.Errorf("started: %v", err)
	}
	spec := b.spec(sh("echo up; exec sleep 60")...)
	spec.Waived = append(spec.Waived, sandbox.WaiveCgroup)
	p := postureOf(b, spec)
	must(t, p.Missing())
	if w := wall(t, p.Walls, "cgroup limits"); w.Stands || !w.Waived {
		t.Errorf("%+v", w)
	}
	bomb := b.spec(sh("i=0; while [ $i -lt 60 ]; do sleep 9 & i=$((i+1)); done; echo all started")...)
	bomb.Waived, bomb.Limits.PIDs = spec.Waived, 20
	bomb.Process.User = sandbox.User{UID: 1000, GID: 1000}
	if got := b.run(bomb); strings.Contains(got.out, "all started") {
		t.Errorf("rlimits do not stand in for cgroups: %+v", got)
	}
}

func TestAUserWithoutTun(t *testing.T) {
	if !inside(t) {
		return
	}
	host := linuxhost.New(linuxhost.Config{Self: "/proc/self/exe", StateDir: t.TempDir()})
	if err := host.Check(t.Context()); !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), "/dev/net/tun") {
		t.Errorf("Check says %v", err)
	}
	b := bareBench(t)
	if got, err := b.try(b.spec("true")); err == nil {
		t.Errorf("started without a network card of its own: %+v", got)
	}
}
