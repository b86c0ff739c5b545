package qemu

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// Main runs the hidden subcommand and returns its exit code; handled is false
// when name is another.
func Main(name string) (exitCode int, handled bool) {
	if name != LauncherName {
		return 0, false
	}
	if err := launcherMain(); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		return 1, true
	}
	return 0, true
}

// launcher is process 1 of a machine's namespaces.
type launcher struct {
	console, complaints tail
	over                chan ended // from each of the children

	mu   sync.Mutex
	qemu int // process number; 0 before the boot
	id   uint32
}

func launcherMain() error {
	if os.Getpid() != 1 {
		return errors.New("the launcher is started by the agent, not by hand")
	}
	if err := unix.CloseRange(wireFD+1, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return fmt.Errorf("close what was inherited: %w", err)
	}
	conn, err := fdwire.FromFile(os.NewFile(wireFD, "agent"))
	if err != nil {
		return err
	}
	l := &launcher{over: make(chan ended, 2)}
	//nolint:errcheck // hang-up is how a launcher is ended, and all below it
	wire.New(conn, l.handle).Serve(context.Background())
	return nil
}

func (l *launcher) handle(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (wire.Reply, error) {
	switch verb {
	case verbBoot:
		return wire.Reply{}, l.boot(body, files)
	case verbWait:
		fdwire.CloseAll(files)
		select {
		case e := <-l.over:
			return wire.Reply{Body: e}, nil
		case <-ctx.Done():
			return wire.Reply{}, ctx.Err()
		}
	case verbWalls:
		fdwire.CloseAll(files)
		walls, err := l.walls()
		return wire.Reply{Body: walls}, err
	}
	fdwire.CloseAll(files)
	return wire.Reply{}, fmt.Errorf("%w: the launcher knows no %q", sandbox.ErrInvalid, verb)
}

// boot makes the place and starts the two programs in it.
func (l *launcher) boot(body json.RawMessage, files []*os.File) error {
	defer fdwire.CloseAll(files)
	var call bootCall
	if err := json.Unmarshal(body, &call); err != nil || len(files) != 2 {
		return fmt.Errorf("%w: a boot comes with two sockets: %d, %w", sandbox.ErrInvalid, len(files), err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.qemu != 0 {
		return fmt.Errorf("%w: the machine runs", sandbox.ErrInvalid)
	}
	if err := (&place{call: call}).make(); err != nil {
		return err
	}
	socket, err := l.startFiles(call.FilesD)
	if err != nil {
		return fmt.Errorf("virtiofsd: %w", err)
	}
	defer socket.Close()
	if err := l.startQEMU(call, append(files, socket)); err != nil {
		return fmt.Errorf("qemu: %w", err)
	}
	return nil
}

// filesSocket is where virtiofsd listens, in the launcher's own file system.
const filesSocket = "/run/files"

// startFiles starts the virtio-fs daemon and returns a connection to it. It
// serves one, and ends with it.
func (l *launcher) startFiles(program string) (*os.File, error) {
	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: filesSocket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filesSocket, Net: "unix"})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	listening, err := listener.File()
	if err != nil {
		return nil, err
	}
	defer listening.Close()
	socket, err := conn.File()
	if err != nil {
		return nil, err
	}
	// Its own sandbox: namespaces, pivot_root into the files, seccomp.
	cmd := exec.Command(program, "--fd=3", "-f", "--rlimit-nofile=0", "-o", "source="+placeOfFiles, "-o", "cache=auto", "-o", "xattr", "-o", "sandbox=namespace")
	cmd.ExtraFiles = []*os.File{listening}
	if err := keepingCapabilities(func() error { return l.start("virtiofsd", cmd, nil) }); err != nil {
		return nil, errors.Join(err, socket.Close())
	}
	return socket, nil
}

// secbitNoSetuidFixup is SECBIT_NO_SETUID_FIXUP (linux/securebits.h).
const secbitNoSetuidFixup = 1 << 2

// keepingCapabilities starts a program that keeps its capabilities when it takes
// on a user's ids. virtiofsd makes a file as the user of the guest that makes
// it, after the guest's kernel has judged; without capabilities it would be
// judged again, by modes alone, and overlayfs makes its files in a folder of
// mode 0.
func keepingCapabilities(start func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with it
		err := unix.Prctl(unix.PR_SET_SECUREBITS, secbitNoSetuidFixup, 0, 0, 0)
		if err == nil {
			err = start()
		}
		done <- err
	}()
	return <-done
}

// ownID is the id of the app's range that QEMU runs as: that of nobody.
const ownID = 65534

func (l *launcher) startQEMU(call bootCall, files []*os.File) error {
	cmd := exec.Command(call.QEMU, call.Plan.arguments()...)
	cmd.ExtraFiles = files
	l.id = call.Spec.Image.IDBase + ownID
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: l.id, Gid: l.id, Groups: kvmGroups()}}
	if err := l.start("QEMU", cmd, &l.console); err != nil {
		return err
	}
	l.qemu = cmd.Process.Pid
	return nil
}

// kvmGroups is the group that may use /dev/kvm.
func kvmGroups() []uint32 {
	var st unix.Stat_t
	if unix.Stat("/dev/kvm", &st) != nil {
		return nil
	}
	return []uint32{st.Gid}
}

// lastWord is how long QEMU, which virtiofsd sees hang up as it powers off, may
// take to be gone itself: then it is a power off, and not the loss of virtiofsd.
const lastWord = 2 * time.Second

// panicked is what Linux says then (kernel/panic.c), when process 1 ends too.
const panicked = "Kernel panic - not syncing"

// start runs a program whose end is the machine's.
func (l *launcher) start(name string, cmd *exec.Cmd, output *tail) error {
	cmd.Env, cmd.Dir = []string{"PATH=/usr/sbin:/usr/bin"}, "/"
	cmd.Stderr = &l.complaints
	if output != nil {
		cmd.Stdout = output
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	go func() {
		err := cmd.Wait()
		if err == nil && name != "QEMU" {
			time.Sleep(lastWord)
		}
		e := ended{Clean: err == nil && name == "QEMU"}
		what := fmt.Sprintf("%s has ended: %v", name, cmd.ProcessState)
		if e.Clean && strings.Contains(l.console.String(), panicked) { // it reboots, and QEMU ends well
			e.Clean, what = false, "the guest's kernel has panicked"
		}
		if !e.Clean {
			e.Why = what
			for what, t := range map[string]*tail{"it said": &l.complaints, "the console": &l.console} {
				if text := t.String(); text != "" {
					e.Why += "; " + what + ": " + text
				}
			}
		}
		l.over <- e
	}()
	return nil
}

// walls looks at QEMU from outside.
func (l *launcher) walls() ([]sandbox.Wall, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", l.qemu))
	if err != nil {
		return nil, fmt.Errorf("%w: the machine has ended", sandbox.ErrUnavailable)
	}
	status := map[string]string{}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(line, ":")
		status[key] = strings.Join(strings.Fields(value), " ")
	}
	return []sandbox.Wall{boundary(status, l.id)}, nil
}

// boundary is the wall between guest and host, from QEMU's /proc/PID/status.
func boundary(status map[string]string, id uint32) sandbox.Wall {
	w := sandbox.Wall{Name: "VM boundary", Required: true}
	n := fmt.Sprint(id)
	for _, want := range []struct{ key, value string }{
		{"Uid", strings.Join([]string{n, n, n, n}, " ")},
		{"CapEff", "0000000000000000"}, {"CapPrm", "0000000000000000"},
		{"Seccomp", "2"}, {"NoNewPrivs", "1"},
	} {
		if got := status[want.key]; got != want.value {
			w.Detail = fmt.Sprintf("QEMU has %s=%q, want %q", want.key, got, want.value)
			return w
		}
	}
	w.Stands = true
	w.Detail = fmt.Sprintf("QEMU is user %d without capabilities, with a system-call filter and namespaces of its own", id)
	return w
}

// tail keeps the last of what was written to it.
type tail struct {
	mu   sync.Mutex
	kept []byte
}

const tailSize = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept = append(t.kept, p[max(0, len(p)-tailSize):]...)
	t.kept = append([]byte(nil), t.kept[max(0, len(t.kept)-tailSize):]...)
	return len(p), nil
}

// String is what is left of it, on one line, with nothing a terminal acts on.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(strings.Map(printable, string(t.kept))), " ")
}

func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return ' '
	}
	return r
}
