//go:build linux

package bpf_test

import (
	"bufio"
	ctx "context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
)

func context() ctx.Context { return ctx.Background() }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func self(t testing.TB) string {
	t.Helper()
	path, err := os.Executable()
	must(t, err)
	return path
}

// unifiedMount finds the cgroup2 tree, which every machine for tests has.
func unifiedMount(t testing.TB) string {
	t.Helper()
	raw, err := os.ReadFile("/proc/self/mountinfo")
	must(t, err)
	for line := range strings.Lines(string(raw)) {
		left, right, _ := strings.Cut(line, " - ")
		if fields := strings.Fields(left); strings.HasPrefix(right, "cgroup2 ") && fields[3] == "/" {
			return fields[4]
		}
	}
	t.Skip("needs a cgroup2 tree")
	return ""
}

// raise has another process raise the fence, and kills it.
func (w *world) raise() {
	w.t.Helper()
	cmd := exec.Command(self(w.t), "raise", w.above, w.name, self(w.t))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(w.t, err)
	must(w.t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	reason, found := strings.CutPrefix(strings.TrimSpace(line), "raised ")
	if err != nil || !found {
		w.t.Fatalf("the fence was not raised: %q, %v", line, err)
	}
	w.fence = &bpf.Fence{Pins: bpf.PinsOf(w.name)}
	if reason != "<nil>" {
		w.fence.LSM = errors.New(reason)
	}
}

// home is the sandbox as it really is: this machine's network, its mounts.
func home(t testing.TB) bpf.Sandbox {
	t.Helper()
	var st unix.Stat_t
	must(t, unix.Stat("/proc/self/ns/net", &st))
	cookie, err := bpf.NetCookie()
	must(t, err)
	return bpf.Sandbox{NetNS: uint32(st.Ino), Cookie: cookie}
}

// want compares ends with what must be: an errno for each attempt, or one for
// all that are not named.
func want(t *testing.T, phase string, ends map[string]syscall.Errno, rest func(name string) syscall.Errno) {
	t.Helper()
	for name, got := range ends {
		if expected := rest(name); got != expected {
			t.Errorf("%s: %s ended with %v, want %v", phase, name, text(got), text(expected))
		}
	}
}

func text(errno syscall.Errno) string {
	switch errno {
	case 0:
		return "success"
	case oddErrno:
		return "an odd error"
	}
	return fmt.Sprintf("%s (%d)", errno.Error(), int(errno))
}

func all(errno syscall.Errno) func(string) syscall.Errno {
	return func(string) syscall.Errno { return errno }
}

// but is errno for all, save what exceptions say.
func but(errno syscall.Errno, exceptions map[string]syscall.Errno) func(string) syscall.Errno {
	return func(name string) syscall.Errno {
		if e, found := exceptions[name]; found {
			return e
		}
		return errno
	}
}

func write(t testing.TB, dir, name, content string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755))
}
