//go:build linux

package bpfd_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost"
)

// judged is what is let do below a fence without a policy: LSM programs stand in
// the guest, elsewhere cgroup programs.
func judged() string {
	if inGuest() {
		return nothing
	}
	return noSockets
}

// TestFencesBehindLSM is all of this where LSM programs judge too.
func TestFencesBehindLSM(t *testing.T) {
	if inGuest() {
		return
	}
	program := asuser.BuildFences(t)
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skip("needs busybox (apt-get install busybox-static)")
	}
	for _, kernel := range vmtest.LSMKernels() {
		t.Run(kernel, func(t *testing.T) {
			files := map[string]string{"/bin/consentry-bpf": program, "/bin/sleep": busybox}
			pattern := "^(TestFence|TestUsers).*"
			if vmtest.Thorough() { // a systemd takes a minute under emulation
				addSystemd(t, files, program)
				pattern = "^(TestFence|TestUsers|TestUnits).*"
			}
			vmtest.Test(t, "github.com/consentry/consentry/linuxhost/bpfd", pattern, vmtest.Config{
				Kernel: kernel, Files: files, Timeout: 6 * time.Minute,
			})
		})
	}
}

// TestFenceOfAUser: what stands, for whom, and how long.
func TestFenceOfAUser(t *testing.T) {
	s := newService(t)
	user := newPerson(t, 0)
	above := user.cgroup("above")
	run := user.cgroup("above/run")
	agent := user.caller(s)
	said := agent.says("raise", above)
	if !strings.HasPrefix(said, "raised") || inGuest() != strings.Contains(said, "LSM <nil>") {
		t.Fatal(said)
	}
	if have := agent.says("status", above); have == "0 of 0" || strings.Split(have, " ")[0] != strings.Split(have, " ")[2] {
		t.Errorf("attached: %s", have)
	}
	confined(t, s.cmd.Process.Pid)
	if got := user.letDo(true, run); got != judged() {
		t.Errorf("a sandbox without a policy is let do %q", got)
	}
	if got := user.letDo(false, run); got != everything {
		t.Errorf("a set-uid program that the user puts there could be denied things: it is let do %q", got)
	}
	if got := user.letDo(true, user.dir); got != everything {
		t.Errorf("beside the fence a program is let do %q", got)
	}
	// The agent dies while something runs, then consentry-bpf does.
	held, err := strconv.Atoi(agent.says("hold", run))
	must(t, err)
	t.Cleanup(func() { unix.Kill(held, unix.SIGKILL) })
	agent.wants("something runs", "lower")
	agent.kill()
	time.Sleep(time.Second)
	for _, dead := range []string{"agent", "agent and consentry-bpf"} {
		if got := user.letDo(true, run); got != judged() {
			t.Errorf("with a dead %s a sandbox is let do %q", dead, got)
		}
		s.kill()
	}
	s.start()
	other := user.caller(s)
	if have := other.says("status", above); !strings.Contains(have, " of ") {
		t.Errorf("a new consentry-bpf says %s", have)
	}
	// Nothing runs any more: the next agent's fence takes the place.
	must(t, unix.Kill(held, unix.SIGKILL))
	eventually(t, "the fence can be raised anew", func() bool { return strings.HasPrefix(other.says("raise", above), "raised") })
	other.wants("lowered", "lower")
	if left := s.fences(); len(left) > 0 {
		t.Errorf("pins that are left: %v", left)
	}
	eventually(t, "without a fence a program is let do everything", func() bool { return user.letDo(true, run) == everything })
	// Who hangs up lowers it too, and who removes the cgroup.
	other.wants("raised", "raise", above)
	other.kill()
	eventually(t, "the fence of a dead agent is lowered", func() bool { return len(s.fences()) == 0 })
	eventually(t, "consentry-bpf ends when nobody needs it", func() bool { return s.cmd.Wait() != nil || s.cmd.ProcessState.Exited() })
	if !s.cmd.ProcessState.Success() {
		t.Errorf("it ended with %v", s.cmd.ProcessState)
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 20*time.Second {
			t.Fatalf("not: %s", what)
		}
	}
}

// confined reads back what a process of consentry-bpf has left.
func confined(t *testing.T, pid int) {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	must(t, err)
	const three = 1<<unix.CAP_BPF | 1<<unix.CAP_PERFMON | 1<<unix.CAP_NET_ADMIN
	caps := fmt.Sprintf("%016x", uint64(three))
	want := map[string]string{"CapPrm": caps, "CapEff": caps, "CapInh": "0000000000000000", "CapAmb": "0000000000000000", "NoNewPrivs": "1", "Seccomp": "2"}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(line, ":")
		if w, is := want[key]; is && strings.TrimSpace(value) != w {
			t.Errorf("%s is %s, want %s", key, strings.TrimSpace(value), w)
		}
	}
}

// TestUsersAreKeptApart: two users, and what one tries on the other and on the
// machine.
func TestUsersAreKeptApart(t *testing.T) {
	s := newService(t)
	alice, bob := newPerson(t, 0), newPerson(t, 1)
	hers, his := alice.cgroup("above"), bob.cgroup("above")
	run := bob.cgroup("above/run")
	a, b := alice.caller(s), bob.caller(s)
	b.wants("raised", "raise", his)
	for name, dir := range map[string]string{
		"another user's": his, "an ancestor": filepath.Dir(alice.dir), "no cgroup": "/tmp", "a file": filepath.Join(hers, "cgroup.procs"),
	} {
		said := a.says("raise", dir)
		if !strings.HasPrefix(said, "error") || !strings.Contains(said, "does not belong") && !strings.Contains(said, "no directory of the cgroup2") {
			t.Errorf("%s cgroup: %s", name, said)
		}
	}
	a.wants("does not belong", "status", his)
	a.wants("no fence", "status", hers)
	inhabited := alice.cgroup("inhabited")
	sleeper := exec.Command("sleep", "600")
	must(t, sleeper.Start())
	t.Cleanup(func() { sleeper.Process.Kill(); sleeper.Wait(); time.Sleep(50 * time.Millisecond) })
	must(t, os.WriteFile(filepath.Join(inhabited, "cgroup.procs"), []byte(strconv.Itoa(sleeper.Process.Pid)), 0o600))
	a.wants("something runs", "raise", inhabited)
	// Her maps may say what they like of his sandboxes, and of the machine's root.
	a.wants("raised", "raise", hers)
	outside := alice.cgroup("outside")
	must(t, os.Chown(outside, 0, 0))
	for _, dir := range []string{run, outside, his} {
		a.wants("sealed", "seal", dir)
	}
	if got := bob.letDo(true, run); got != judged() {
		t.Errorf("his sandbox is let do %q", got)
	}
	for _, namespaced := range []bool{true, false} {
		if got := bob.letDo(namespaced, outside); got != everything {
			t.Errorf("a program outside is let do %q", got)
		}
	}
	if have := b.says("status", his); strings.HasPrefix(have, "error") {
		t.Errorf("his fence: %s", have)
	}
	// No user has more than a few.
	for n := range 2 {
		alice.caller(s).wants("raised", "raise", alice.cgroup(fmt.Sprint("more", n)))
	}
	alice.caller(s).wants("3 fences already", "raise", alice.cgroup("toomuch"))
	b.wants("lowered", "lower")
	b.wants("raised", "raise", his)
	for _, c := range []*caller{a, b} {
		c.kill()
	}
	sleeper.Process.Kill()
}

// TestCallersThatAreHostile: what no client of ours sends.
func TestCallersThatAreHostile(t *testing.T) {
	s := newService(t)
	user := newPerson(t, 0)
	above := user.cgroup("above")
	c := user.caller(s)
	const fence, judge, status = `"CBPF\x01\x00\x01\x00"`, `"CBPF\x01\x00\x02\x00"`, `"CBPF\x01\x00\x03\x00"`
	for _, try := range []struct {
		want  string
		words []string
	}{
		{"wants one directory", []string{fence}},
		{"wants one directory", []string{fence, above, above}},
		{"wants one directory", []string{judge, above}},
		{"no fence", []string{judge}},
		{"no fence around", []string{status, above}},
		{"no directory of the cgroup2", []string{fence, "/dev/null"}},
		{"version 2", []string{`"CBPF\x02\x00\x01\x00"`, above}},
		{"no request", []string{`"hello"`}},
		{"end", []string{`"` + strings.Repeat("x", 4000) + `"`}}, // hung up on
		{"end", append([]string{fence}, strings.Fields(strings.Repeat(above+" ", 40))...)},
	} {
		c.wants(try.want, append([]string{"raw"}, try.words...)...)
	}
	// Who says nothing is not waited for, and does not keep others out.
	var idle []net.Conn
	for range 300 {
		conn, err := net.Dial("unixpacket", s.socket)
		must(t, err)
		idle = append(idle, conn)
	}
	c.wants("raised", "raise", above)
	must(t, idle[0].SetReadDeadline(time.Now().Add(20*time.Second)))
	if _, err := idle[0].Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("who said nothing was told %v", err)
	}
	for _, conn := range idle {
		conn.Close()
	}
	c.wants("lowered", "lower")
	if left := s.fences(); len(left) > 0 {
		t.Errorf("pins that are left: %v", left)
	}
}

// TestConfinedFences: what consentry-bpf could do if a caller took it over.
func TestConfinedFences(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, as consentry-bpf does")
	}
	pins := t.TempDir()
	out, err := exec.Command("/proc/self/exe", "confined", pins).CombinedOutput()
	must(t, err)
	want := "read the shadow file: permission denied\nwrite a file: permission denied\nwrite a pin: ok\nread the kernel's types: ok\n" +
		"program: operation not permitted\nsocket: operation not permitted\nsignal: operation not permitted\n" +
		"program ids of the machine: operation not permitted\nmount: function not implemented\n"
	if string(out) != want {
		t.Errorf("got\n%swant\n%s", out, want)
	}
}

func confinedRole(args []string) error {
	if err := linuxhost.ConfineFences(args[0]); err != nil {
		return err
	}
	for _, try := range []struct {
		name string
		act  func() error
	}{
		{"read the shadow file", func() error { _, err := os.ReadFile("/etc/shadow"); return err }},
		{"write a file", func() error { return os.WriteFile("/etc/consentry-test", nil, 0o600) }},
		{"write a pin", func() error { return os.Mkdir(filepath.Join(args[0], "pin"), 0o700) }},
		{"read the kernel's types", func() error { _, err := os.ReadFile("/sys/kernel/btf/vmlinux"); return err }},
		{"program", func() error { return unix.Exec("/bin/true", []string{"true"}, nil) }},
		{"socket", func() error { _, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err }},
		{"signal", func() error { return unix.Kill(os.Getppid(), 0) }},
		{"program ids of the machine", bpfGetNextID},
		{"mount", func() error { return unix.Mount("x", args[0], "tmpfs", 0, "") }},
	} {
		err := try.act()
		var errno syscall.Errno
		switch {
		case err == nil:
			fmt.Printf("%s: ok\n", try.name)
		case errors.As(err, &errno):
			fmt.Printf("%s: %v\n", try.name, errno)
		default:
			return err
		}
	}
	return nil
}

// bpfGetNextID asks for the programs of all the machine.
func bpfGetNextID() error {
	const progGetNextID = 11
	var attr [16]byte
	_, _, errno := unix.Syscall(unix.SYS_BPF, progGetNextID, uintptr(unsafe.Pointer(&attr)), uintptr(len(attr)))
	if errno != 0 {
		return errno
	}
	return nil
}
