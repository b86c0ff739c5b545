package asuser

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/vmtest"
)

// What the user of a guest is.
const (
	guestUID = 1000
	guestSub = 100_000
)

// idTools map the subordinate ids of a user; they are set-uid.
var idTools = []string{"newuidmap", "newgidmap"}

// GuestTools are the files that RerunInGuest needs in a guest, where they lie by
// where they are here: the tools that map ids, and their libraries.
func GuestTools(t testing.TB) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, tool := range idTools {
		path, err := exec.LookPath(tool)
		if err != nil {
			t.Skipf("needs the tool %s (apt-get install uidmap)", tool)
		}
		vmtest.AddProgram(t, files, "/bin/"+tool, path)
	}
	return files
}

// RerunInGuest is Rerun in a machine that a test has booted, which is all the
// user's and has no tools to become one: the user has subordinate ids and a
// delegated cgroup.
func RerunInGuest(t *testing.T, env, run string, more ...string) {
	t.Helper()
	line := fmt.Sprintf("tester:%d:%d\n", guestSub, subCount)
	for name, text := range map[string]string{
		"passwd": fmt.Sprintf("root:x:0:0::/:/bin/sh\ntester:x:%d:%[1]d::/tmp:/bin/sh\n", guestUID), "subuid": line, "subgid": line,
	} {
		must(t, os.MkdirAll("/etc", 0o755))                                     //nolint:gosec // as everywhere
		must(t, os.WriteFile(filepath.Join("/etc", name), []byte(text), 0o644)) //nolint:gosec // as everywhere
	}
	for _, tool := range idTools {
		must(t, os.Chmod("/bin/"+tool, 0o755|os.ModeSetuid))
	}
	for _, device := range []string{"/dev/net/tun", "/dev/fuse"} {
		must(t, os.Chmod(device, 0o666)) //nolint:gosec // as on a desktop
	}
	home, err := os.MkdirTemp("", "user")
	must(t, err)
	must(t, os.Chown(home, guestUID, guestUID))
	in, err := os.Open(delegateInGuest(t))
	must(t, err)
	defer in.Close()
	ctx, cancel := context.WithTimeout(t.Context(), rerunTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "/proc/self/exe", "-test.v", "-test.run", run)
	cmd.Env = append(append(os.Environ(), env+"=1", "HOME="+home, "TMPDIR="+home), more...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Credential: &syscall.Credential{Uid: guestUID, Gid: guestUID}, UseCgroupFD: true, CgroupFD: int(in.Fd()),
	}
	out, err := cmd.CombinedOutput()
	text := string(out)
	told := strings.ReplaceAll("\n"+text, "\n", "\n| ") // else who reads our own output takes it for ours
	if err != nil || strings.Contains(text, "--- SKIP") || !strings.Contains(text, "--- PASS") {
		t.Errorf("as a user: %v%s", err, told)
	} else {
		t.Log(told)
	}
}

// delegateInGuest gives the user a cgroup, as systemd would.
func delegateInGuest(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(raw)) {
		fields := strings.Fields(line)
		if !strings.Contains(line, " - cgroup2 ") || fields[3] != "/" {
			continue
		}
		must(t, os.WriteFile(filepath.Join(fields[4], "cgroup.subtree_control"), []byte("+pids +memory +cpu"), 0o600))
		group := filepath.Join(fields[4], "user")
		must(t, os.Mkdir(group, 0o755)) //nolint:gosec // as systemd's
		for _, name := range []string{"", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"} {
			must(t, os.Chown(filepath.Join(group, name), guestUID, guestUID))
		}
		t.Cleanup(func() {
			for began := time.Now(); ; time.Sleep(20 * time.Millisecond) {
				err := removeTree(group)
				if err == nil {
					return
				}
				if time.Since(began) > 20*time.Second {
					t.Error(errors.Join(errors.New("cgroup of the user"), err))
					return
				}
			}
		})
		return group
	}
	t.Fatal("no cgroup2 tree")
	return ""
}
