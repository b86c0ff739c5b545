//go:build linux

package story

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/internal/asuser"
)

// TestAnOrdinaryUser: the whole of a day, with nothing run as root but what
// makes the world.
func TestAnOrdinaryUser(t *testing.T) {
	user := asuser.New(t, asuser.Desktop{})
	w := worldOf(t, user)
	t.Run("asks and connects", func(t *testing.T) {
		for answer, code := range map[string]int{"deny": 7, "allow": 0} {
			app, before := w.curl(built.image, nil, "http://"+webName+"/"), w.reached()
			if r := w.result(answer, w.request(webTarget).ID, "--once"); r.code != 0 {
				t.Fatal(r.err)
			}
			if r := app.wait(); r.code != code || (w.reached() > before) != (answer == "allow") {
				t.Fatalf("%s: exit %d, want %d: %s", answer, r.code, code, r.err)
			}
		}
	})
	t.Run("posture", func(t *testing.T) {
		w.detach("calm", nil, "sleep", "600")
		w.posture("calm")
		if r := w.result("pause", "calm"); r.code != 0 {
			t.Fatal(r.err)
		}
		if r := w.result("rm", "--force", "calm"); r.code != 0 {
			t.Fatal(r.err)
		}
	})
	t.Run("owners of an image", func(t *testing.T) {
		r := w.result("run", "--rm", "--quiet", built.image, "sh", "-c",
			"stat -c %u:%g /etc/shadow /var/mail; chown 33:33 /srv && stat -c %u:%g /srv; setpriv --reuid 33 --regid 33 --clear-groups id -u")
		if r.code != 0 || r.out != "0:42\n0:8\n33:33\n33\n" {
			t.Errorf("exit %d: %q %s", r.code, r.out, r.err)
		}
	})
	t.Run("a share and a volume", func(t *testing.T) { w.usersFiles() })
	t.Run("doctor", func(t *testing.T) {
		r := w.result("doctor")
		for _, want := range []string{"user namespace", fmt.Sprint(user.UID), "eBPF LSM", "no consentry-bpf answers", "consentry-bpf.socket"} {
			if r.code != 0 || !strings.Contains(r.out, want) {
				t.Errorf("doctor does not say %q: exit %d %s%s", want, r.code, r.out, r.err)
			}
		}
	})
}

// usersFiles: what an app writes into a share is the user's, what it writes into
// a volume is there for the next app.
func (w *world) usersFiles() {
	t := w.t
	share := filepath.Join(w.user.Home, "papers")
	must(t, os.Mkdir(share, 0o700))
	must(t, os.WriteFile(filepath.Join(share, "letter"), []byte("dear"), 0o600))
	must(t, os.Chown(share, w.user.UID, w.user.UID))
	must(t, os.Chown(filepath.Join(share, "letter"), w.user.UID, w.user.UID))
	r := w.result("run", "--rm", "--quiet", "--share", share+":rw", "-v", "store:/store", built.image,
		"sh", "-c", "cat /share/papers/letter; echo reply >/share/papers/answer; echo kept >/store/f; chown 33:33 /store/f")
	if r.code != 0 || r.out != "dear" {
		t.Fatalf("exit %d: %q %s", r.code, r.out, r.err)
	}
	var st syscall.Stat_t
	if err := syscall.Stat(filepath.Join(share, "answer"), &st); err != nil || int(st.Uid) != w.user.UID {
		t.Errorf("the answer belongs to %d: %v", st.Uid, err)
	}
	r = w.result("run", "--rm", "--quiet", "-v", "store:/store", built.image, "sh", "-c", "cat /store/f; stat -c %u /store/f")
	if r.out != "kept\n33\n" {
		t.Errorf("the next app finds %q: %s", r.out, r.err)
	}
}

// TestAnOrdinaryUsersAgentDies: whichever of its two processes is killed,
// nothing is left, and the next agent finds its way.
func TestAnOrdinaryUsersAgentDies(t *testing.T) {
	w := worldOf(t, asuser.New(t, asuser.Desktop{Scope: true}))
	for _, victim := range []string{"outer", "inner"} {
		w.detach(victim, nil, "sleep", "600")
		w.posture(victim) // with limits by cgroups
		var v struct{ Agent api.Version }
		must(t, json.Unmarshal([]byte(w.result("version", "--json").out), &v))
		if v.Agent.PID == w.agent.Process.Pid || v.Agent.PID == 0 {
			t.Fatalf("the agent is process %d, and was started as %d", v.Agent.PID, w.agent.Process.Pid)
		}
		pid := map[string]int{"outer": w.agent.Process.Pid, "inner": v.Agent.PID}[victim]
		must(t, syscall.Kill(pid, syscall.SIGKILL))
		w.agent.Wait()
		w.until("nothing of the user runs", func() bool { return len(w.user.Processes()) == 0 })
		w.startAgent()
		if d := w.inspect(victim); d.State != api.Exited {
			t.Errorf("%s is %s", victim, d.State)
		}
		if r := w.result("run", "--rm", "--quiet", built.image, "echo", "again"); r.out != "again\n" {
			t.Errorf("after the %s process was killed: exit %d %s", victim, r.code, r.err)
		}
	}
	w.usersHome()
}

// usersHome: without CONSENTRY_HOME the files are where the XDG directories are.
func (w *world) usersHome() {
	line := w.user.Line(built.program, "version", "--json")
	cmd := w.in(w.machine, line...)
	cmd.Env = w.user.Env()
	w.run(cmd)
	line = w.user.Daemon("timeout", "20", built.program, "doctor")
	cmd = w.in(w.machine, line...)
	cmd.Env = w.user.Env()
	out, _ := cmd.CombinedOutput()
	if home := filepath.Join(w.user.Home, ".local/share/consentry"); !strings.Contains(string(out), home) {
		w.t.Errorf("doctor says nothing of %s: %s", home, out)
	}
	w.t.Cleanup(func() { w.run(w.in(w.machine, w.user.Line("pkill", "-U", fmt.Sprint(w.user.UID), "consentry")...)) })
}
