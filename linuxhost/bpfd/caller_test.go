//go:build linux

package bpfd_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/asuser"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/linuxhost/bpfd"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if code, handled := linuxhost.Main(os.Args[1], os.Args[2:]); handled {
			syscall.Exit(code) // os.Exit waits a second for the race detector
		}
		if role := roles[os.Args[1]]; role != nil {
			if err := role(os.Args[2:]); err != nil {
				fmt.Println("error", err)
				syscall.Exit(1)
			}
			syscall.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// roles are what this binary does as another process of a test.
var roles = map[string]func(args []string) error{"caller": callerRole, "confined": confinedRole}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inGuest says whether this is the machine that a test of the host booted.
func inGuest() bool { return os.Getenv("CONSENTRY_VMTEST") != "" }

// unifiedMount finds the cgroup2 tree.
func unifiedMount(t *testing.T) string {
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

// service is a consentry-bpf of the test's own.
type service struct {
	t                 *testing.T
	program           string
	socket, pins, log string
	cmd               *exec.Cmd
}

func newService(t *testing.T) *service {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to start consentry-bpf")
	}
	dir, err := os.MkdirTemp("", "bpfd") // t.TempDir lies where only root may look
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	must(t, os.Chmod(dir, 0o755)) //nolint:gosec // for users
	s := &service{
		t: t, program: "/bin/consentry-bpf", socket: filepath.Join(dir, "sock"), log: filepath.Join(dir, "log"),
		pins: fmt.Sprintf("%s-test-%d", bpf.PinsOfUsers, os.Getpid()),
	}
	if !inGuest() {
		s.program = asuser.BuildFences(t)
	}
	t.Cleanup(func() {
		s.kill()
		must(t, bpf.Lower(s.pins))
		if text, err := os.ReadFile(s.log); t.Failed() {
			t.Logf("%s%v", text, err)
		}
	})
	s.start()
	return s
}

// start runs it as a unit of systemd does: with the socket as descriptor 3.
func (s *service) start() {
	s.t.Helper()
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(s.t, err)
	defer log.Close()
	l, err := bpfd.Listen(s.socket)
	must(s.t, err)
	l.SetUnlinkOnClose(false)
	f, err := l.File()
	must(s.t, errors.Join(err, l.Close()))
	defer f.Close()
	s.cmd = exec.Command("/proc/self/exe", "activate", s.program, "-pins", s.pins, "-idle", "2s")
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.ExtraFiles = log, log, []*os.File{f}
	must(s.t, s.cmd.Start())
}

func init() { roles["activate"] = activateRole }

// activateRole becomes a program with the environment that systemd gives.
func activateRole(args []string) error {
	env := append(os.Environ(), "LISTEN_FDS=1", "LISTEN_PID="+strconv.Itoa(os.Getpid()))
	if _, err := unix.FcntlInt(3, unix.F_SETFD, 0); err != nil {
		return err
	}
	return unix.Exec(args[0], args, env)
}

func (s *service) kill() {
	s.cmd.Process.Kill()
	s.cmd.Wait()
}

// fences are the pins that are there.
func (s *service) fences() []string {
	entries, err := os.ReadDir(s.pins)
	must(s.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// person is a user with a cgroup of their own.
type person struct {
	t   *testing.T
	uid int
	dir string
}

func newPerson(t *testing.T, n int) *person {
	t.Helper()
	p := &person{t: t, uid: 63100 + (os.Getpid()*4+n)%2000}
	p.dir = filepath.Join(unifiedMount(t), fmt.Sprintf("bpfd-test-%d-%d", os.Getpid(), n))
	p.cgroup("")
	p.cgroup("agents")
	return p
}

// cgroup makes one of the person's, as systemd delegates it or they make it.
func (p *person) cgroup(name string) string {
	p.t.Helper()
	dir := filepath.Join(p.dir, name)
	must(p.t, os.Mkdir(dir, 0o755))
	for _, path := range []string{dir, filepath.Join(dir, "cgroup.procs"), filepath.Join(dir, "cgroup.subtree_control")} {
		must(p.t, os.Chown(path, p.uid, p.uid))
	}
	p.t.Cleanup(func() {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			p.t.Error(err)
		}
	})
	return dir
}

// command runs this program as the person, in a user namespace of theirs or in
// the machine's own.
func (p *person) command(namespaced bool, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Stderr = os.Stderr
	id := uint32(p.uid) //nolint:gosec // small
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: unix.SIGKILL, Credential: &syscall.Credential{Uid: id, Gid: id, NoSetGroups: true}}
	if namespaced {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		cmd.SysProcAttr.Credential = &syscall.Credential{NoSetGroups: true}
		ids := []syscall.SysProcIDMap{{HostID: p.uid, Size: 1}}
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
	}
	return cmd
}

// What a program in a cgroup is let do.
const (
	everything = "ran socket device"
	noSockets  = "ran"
	nothing    = ""
)

// letDo says what a program of the person is let do in a cgroup.
func (p *person) letDo(namespaced bool, dir string) string {
	p.t.Helper()
	group, err := os.Open(dir)
	must(p.t, err)
	defer group.Close()
	cmd := p.command(namespaced, bpf.ProofName)
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	cmd.Stderr = nil
	out, _ := cmd.Output()
	return strings.TrimSpace(string(out))
}

// caller is a process of the person that talks with consentry-bpf.
type caller struct {
	t   *testing.T
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (p *person) caller(s *service) *caller {
	p.t.Helper()
	c := &caller{t: p.t, cmd: p.command(true, "caller", s.socket)}
	group, err := os.Open(filepath.Join(p.dir, "agents"))
	must(p.t, err)
	defer group.Close()
	c.cmd.SysProcAttr.UseCgroupFD, c.cmd.SysProcAttr.CgroupFD = true, int(group.Fd())
	in, err := c.cmd.StdinPipe()
	must(p.t, err)
	out, err := c.cmd.StdoutPipe()
	must(p.t, err)
	must(p.t, c.cmd.Start())
	c.in, c.out = in, bufio.NewReader(out)
	p.t.Cleanup(c.kill)
	return c
}

func (c *caller) kill() {
	c.cmd.Process.Kill()
	c.cmd.Wait()
}

// says has the caller do something, and returns what it says of it.
func (c *caller) says(words ...string) string {
	c.t.Helper()
	_, err := fmt.Fprintln(c.in, strings.Join(words, " "))
	must(c.t, err)
	line, err := c.out.ReadString('\n')
	must(c.t, err)
	return strings.TrimSpace(line)
}

// wants fails the test when the answer has not got a part in it.
func (c *caller) wants(part string, words ...string) {
	c.t.Helper()
	if got := c.says(words...); !strings.Contains(got, part) {
		c.t.Errorf("%v: %q, want %q in it", words, got, part)
	}
}

// callerRole does what it is told, line by line.
func callerRole(args []string) error {
	p := &callerProcess{socket: args[0]}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Fields(lines.Text())
		said, err := p.do(words[0], words[1:])
		if err != nil {
			said = "error " + strings.ReplaceAll(err.Error(), "\n", "; ")
		}
		fmt.Println(said)
	}
	return nil
}

type callerProcess struct {
	socket string
	client *bpfd.Client
	fence  *bpf.Fence
}

func (p *callerProcess) do(verb string, args []string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if p.fence == nil && (verb == "lower" || verb == "seal" || verb == "hold") {
		return "", errors.New("no fence was raised")
	}
	switch verb {
	case "raise": // DIR
		client, err := bpfd.Dial(p.socket, args[0])
		if err != nil {
			return "", err
		}
		fence, err := bpf.RaiseBy(ctx, bpf.Config{Cgroup: args[0], Self: "/proc/self/exe"}, client)
		if err != nil {
			return "", errors.Join(err, client.Close())
		}
		p.client, p.fence = client, fence
		return fmt.Sprintf("raised, LSM %v", fence.LSM), nil
	case "status": // DIR
		client, err := bpfd.Dial(p.socket, args[0])
		if err != nil {
			return "", err
		}
		have, want, err := client.Attached(ctx)
		return fmt.Sprintf("%d of %d", have, want), errors.Join(err, client.Close())
	case "lower":
		return "lowered", p.client.Lower(ctx)
	case "seal": // DIR: nothing is allowed there
		id, err := bpf.CgroupID(args[0])
		if err != nil {
			return "", err
		}
		rules := &bpf.Rules{Maps: p.fence.Maps}
		return "sealed", rules.Seal(id, bpf.Sandbox{NetNS: 1, Cookie: 1})
	case "hold": // DIR: a process that does nothing, there
		return p.hold(args[0])
	case "raw": // BYTES
		return p.raw(args)
	}
	return "", fmt.Errorf("no %q", verb)
}

func (p *callerProcess) hold(dir string) (string, error) {
	group, err := os.Open(dir)
	if err != nil {
		return "", err
	}
	defer group.Close()
	cmd := exec.Command("/bin/sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	if err := (&bpf.Rules{Maps: p.fence.Maps}).Build(cgroupID(group)); err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", err
	}
	time.Sleep(200 * time.Millisecond) // until it sleeps
	return strconv.Itoa(cmd.Process.Pid), (&bpf.Rules{Maps: p.fence.Maps}).Forget(cgroupID(group), bpf.Sandbox{})
}

func cgroupID(f *os.File) uint64 {
	var st unix.Stat_t
	if unix.Fstat(int(f.Fd()), &st) != nil {
		return 0
	}
	return st.Ino
}

// raw sends bytes that no client of ours would, with files that are open on paths.
func (p *callerProcess) raw(args []string) (string, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: p.socket}); err != nil {
		return "", err
	}
	text, err := strconv.Unquote(args[0])
	if err != nil {
		return "", err
	}
	var fds []int
	for _, path := range args[1:] {
		file, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			return "", err
		}
		defer unix.Close(file)
		fds = append(fds, file)
	}
	if err := unix.Sendmsg(fd, []byte(text), unix.UnixRights(fds...), nil, 0); err != nil {
		return "", err
	}
	buffer := make([]byte, 2048)
	n, err := unix.Read(fd, buffer)
	return strings.TrimSpace(string(bytes.ToValidUTF8(buffer[:max(n, 0)], []byte("?")))) + " end", err
}
