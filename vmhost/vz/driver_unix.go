//go:build unix

package vz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/complaint"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
	"github.com/consentry/consentry/vmhost"
)

// Config is what a Driver needs.
type Config struct {
	Helper string // consentry-vz
	Dir    string // the agent's own, on the volume where layers lie
	Log    *slog.Logger
	// System says what this Mac lacks; nil asks the system and the helper.
	System func(context.Context, string) error
}

// Driver boots machines, each with a helper.
type Driver struct{ config Config }

// New returns a Driver. It touches nothing until Check or Boot.
func New(config Config) *Driver {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.System == nil {
		config.System = checkSystem
	}
	return &Driver{config}
}

// Name is "vz".
func (*Driver) Name() string { return "vz" }

// Accelerated is true: the framework has the processor itself, or is not there.
func (*Driver) Accelerated() bool { return true }

// Check names every missing part and its remedy.
func (d *Driver) Check(ctx context.Context) error {
	if _, err := exec.LookPath(d.config.Helper); err != nil {
		return fmt.Errorf("%w: consentry-vz: %w: install consentry again", sandbox.ErrNotSupported, err)
	}
	return d.config.System(ctx, d.config.Helper)
}

// Boot starts a helper and has it start the machine.
func (d *Driver) Boot(ctx context.Context, c vmhost.Config) (vmhost.Machine, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	files, err := stage(d.config.Dir, c.Spec)
	if err != nil {
		return nil, err
	}
	call := Machine{Kernel: c.Kernel, Initramfs: c.Initramfs, Line: kernelLine, Memory: uint64(c.Memory), CPUs: uint(c.CPUs), Files: files} //nolint:gosec // positive, by vmhost
	m, err := d.boot(ctx, call, c.Spec.ID)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(files))
	}
	return m, nil
}

func (d *Driver) boot(ctx context.Context, call Machine, run string) (*machine, error) {
	control, theirControl, err := fdwire.SocketPair()
	if err != nil {
		return nil, err
	}
	defer fdwire.CloseAll([]*os.File{control, theirControl})
	card, theirCard, err := datagramPair()
	if err != nil {
		return nil, err
	}
	defer theirCard.Close()
	conn, err := net.FileConn(control)
	if err != nil {
		card.Close()
		return nil, err
	}
	m, err := d.launch(ctx, call, run, theirControl, theirCard)
	if err != nil {
		card.Close()
		conn.Close()
		return nil, err
	}
	m.card, m.control = card, conn
	go m.await()
	return m, nil
}

// frameBuffer is what may be on the way, in bytes: macOS drops what does not
// fit, and starts with a few frames' worth.
const frameBuffer = 1 << 20

// datagramPair is two connected datagram sockets, which are what the framework
// takes for frames.
func datagramPair() (a, b *os.File, err error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	for _, fd := range fds {
		//nolint:errcheck // the system's own size works too, slower
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF, frameBuffer)
		//nolint:errcheck // as above
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, 4*frameBuffer)
	}
	return os.NewFile(uintptr(fds[0]), "frames"), os.NewFile(uintptr(fds[1]), "frames"), nil
}

// launch starts a helper and has it boot.
func (d *Driver) launch(ctx context.Context, call Machine, run string, files ...*os.File) (*machine, error) {
	conn, theirs, err := fdwire.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(d.config.Helper)
	cmd.Env = []string{} // nothing of the agent's environment
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = complaint.Writer{Log: d.config.Log, Who: "helper of a microVM", Run: run}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("helper of the machine: %w", err), conn.Close())
	}
	m := &machine{cmd: cmd, peer: wire.New(conn, nil), files: call.Files, serving: make(chan struct{}), Ending: vmhost.NewEnding()}
	go func() {
		defer close(m.serving)
		//nolint:errcheck // its end is what counts
		m.peer.Serve(context.Background())
	}()
	if _, err := m.peer.Call(ctx, verbBoot, call, nil, files...); err != nil {
		m.end()
		return nil, fmt.Errorf("boot: %w", err)
	}
	return m, nil
}

// machine is the agent's hold on a helper.
type machine struct {
	*vmhost.Ending
	cmd     *exec.Cmd
	peer    *wire.Peer
	control io.ReadWriteCloser
	card    *os.File
	files   string
	serving chan struct{}
}

func (m *machine) await() {
	var e ended
	_, err := m.peer.Call(context.Background(), verbWait, struct{}{}, &e)
	switch {
	case err != nil:
		err = errors.New("the helper of the machine has ended")
	case !e.Clean:
		err = errors.New(e.Why)
	}
	m.end()
	m.Over(errors.Join(err, os.RemoveAll(m.files)))
}

// end hangs up, which has the helper stop the machine, and kills it.
func (m *machine) end() {
	m.peer.Close()
	//nolint:errcheck // it may have ended
	m.cmd.Process.Kill()
	<-m.serving
	//nolint:errcheck // killed, or ended by itself
	m.cmd.Wait()
}

func (m *machine) Control() io.ReadWriteCloser { return m.control }

func (m *machine) Card() *os.File {
	card := m.card
	m.card = nil
	return card
}

func (m *machine) Kill() error {
	m.Doom()
	m.peer.Close() // the wait ends with it
	m.control.Close()
	<-m.Gone()
	return nil
}

// Walls are as the framework says.
func (m *machine) Walls(ctx context.Context) ([]sandbox.Wall, error) {
	var s state
	if _, err := m.peer.Call(ctx, verbState, struct{}{}, &s); err != nil {
		return nil, err
	}
	return []sandbox.Wall{{
		Name: "VM boundary", Required: true, Stands: s.State == running,
		Detail: "Apple's Virtualization framework says " + s.State + ": a folder that is only read, a port, a card, nothing else",
	}}, nil
}
