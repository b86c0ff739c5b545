//go:build linux

package linuxhost_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/linuxhost/bpfd"
	"github.com/consentry/consentry/sandbox"
)

// fenceEnv is the socket of consentry-bpf where tests of a user have one.
const fenceEnv = "LINUXHOST_FENCES"

// fencesInGuest is where consentry-bpf lies in a guest.
const fencesInGuest = "/bin/consentry-bpf"

// TestRootlessBehindAFence: a user's agent with consentry-bpf.
func TestRootlessBehindAFence(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start consentry-bpf and become a user")
	}
	socket, _ := asuser.Fences(t, asuser.BuildFences(t))
	asuser.Rerun(t, rootlessEnv, asuser.Desktop{}, "^(TestAUserBehindAFence|TestTraceShows.*)$", "^$", fenceEnv+"="+socket)
}

func TestAUserBehindAFence(t *testing.T) {
	if !inside(t) {
		return
	}
	b := newBench(t)
	for _, w := range b.host.Survey(t.Context()) {
		if strings.HasPrefix(w.Name, "eBPF") && w.Stands && !strings.Contains(w.Detail, "by consentry-bpf") {
			t.Errorf("%+v", w)
		}
	}
	p := postureOf(b, b.spec(sh("echo up; exec sleep 60")...))
	must(t, p.Missing())
	line := wall(t, p.Walls, "eBPF cgroup programs")
	if !line.Stands || !strings.Contains(line.Detail, "by consentry-bpf") {
		t.Errorf("%+v", line)
	}
}

// TestUserWithLSM runs in a guest: what a user's agent has of LSM programs that
// consentry-bpf loaded.
func TestUserWithLSM(t *testing.T) {
	if os.Getenv("CONSENTRY_VMTEST") == "" {
		return // TestWithLSM boots the guest
	}
	if inside := os.Getenv(rootlessEnv) != ""; !inside {
		socket, served := asuser.Fences(t, fencesInGuest)
		go func() { // the user's test says when
			for range time.Tick(50 * time.Millisecond) {
				if found, _ := filepath.Glob(os.TempDir() + "/user*/kill"); len(found) > 0 {
					served.Process.Kill()
					return
				}
			}
		}()
		asuser.RerunInGuest(t, rootlessEnv, "^(TestUserWithLSM|TestAUserBehindAFence)$", fenceEnv+"="+socket)
		return
	}
	behindLSM(t)
	t.Run("folder", TestFolderTakenBack)
	t.Run("folder with a mapped file", aMappedFolderOfAUser)
	t.Run("dead consentry-bpf", deadFences)
}

// aMappedFolderOfAUser: whoever maps a file keeps it, and only root may look who
// that is. The app is ended.
func aMappedFolderOfAUser(t *testing.T) {
	a := newAsking(t, sandbox.Folder{}, "read x; /share/docs/busybox sleep 100 & sleep 1; echo mapped; sleep 100")
	program, err := os.ReadFile(filepath.Join(a.image, "bin/busybox"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(a.folder, "busybox"), program, 0o755))
	a.goOn()
	a.says("mapped")
	taken, err := a.giver.TakeFolder(t.Context(), askTarget)
	if err == nil || !strings.Contains(err.Error(), "mapped") {
		t.Errorf("taken %+v, %v", taken, err)
	}
	if exit := waitFor(t, a.app); exit.Code != 137 {
		t.Errorf("exit %+v", exit)
	}
}

// deadFences: without consentry-bpf what stands goes on to deny, folders can be
// taken back, and nothing new is started that asks for the wall.
func deadFences(t *testing.T) {
	a := newAsking(t, sandbox.Folder{}, "exec 3</share/docs/letter; echo open; read x; read x <&3; echo read $x $?; sleep 100")
	a.says("open")
	asked, err := bpfd.Dial(os.Getenv(fenceEnv), "/")
	must(t, err)
	must(t, asked.Close())
	must(t, os.WriteFile(filepath.Join(os.Getenv("TMPDIR"), "kill"), nil, 0o600))
	eventually(t, "consentry-bpf is dead", func() bool {
		_, err := bpfd.Dial(os.Getenv(fenceEnv), "/")
		return errors.Is(err, bpfd.ErrAbsent)
	})
	if taken := a.take(); !taken.Cut {
		t.Errorf("taken %+v", taken)
	}
	a.goOn()
	a.says("read 1")
	if p, err := a.app.Posture(t.Context()); err != nil || p.Missing() == nil && lsmStands(p) {
		t.Errorf("what cannot be read back is said to stand: %+v, %v", p, err)
	}
	spec := a.spec("true")
	spec.Waived = nil
	if _, err := a.host.Start(context.Background(), spec, nil); err == nil {
		t.Error("an app was started that nobody waived the wall for")
	}
}
