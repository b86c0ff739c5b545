package qemu

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/complaint"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
	"github.com/consentry/consentry/vmhost"
)

// Config is what a Driver needs.
type Config struct {
	Self     string // program to start as launcher
	StateDir string // the agent's own, 0700; never shared
	// Accel is "kvm", "tcg" or "": KVM where the machine has it.
	Accel string
	Log   *slog.Logger
}

// Driver boots machines with QEMU.
type Driver struct{ config Config }

// New returns a Driver. It touches nothing until Check or Boot.
func New(config Config) *Driver {
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	return &Driver{config}
}

// Name is "qemu".
func (*Driver) Name() string { return "qemu" }

// filesDaemons are where distributions put the virtio-fs daemon: Debian 12 has
// the one of QEMU, later ones the one in Rust.
var filesDaemons = []string{"/usr/lib/qemu/virtiofsd", "/usr/libexec/virtiofsd", "/usr/lib/virtiofsd"}

func findFilesDaemon() (string, error) {
	for _, path := range filesDaemons {
		if unix.Access(path, unix.X_OK) == nil {
			return path, nil
		}
	}
	return "", errors.New("virtiofsd is not there")
}

// Check names every part that is missing, and its remedy.
func (d *Driver) Check(context.Context) error {
	_, errs := findQEMU(runtime.GOARCH)
	missing := func(what, remedy string) {
		errs = errors.Join(errs, fmt.Errorf("%w: %s: %s", sandbox.ErrNotSupported, what, remedy))
	}
	if _, err := findFilesDaemon(); err != nil {
		missing("virtiofsd", "install it (Debian 12: qemu-system-common; later: virtiofsd)")
	}
	if os.Geteuid() != 0 {
		missing("root", "start the agent as root: a user's agent maps no files for a microVM yet; or use --isolation native")
	}
	if d.config.Accel == "kvm" && !HasKVM() {
		missing("KVM", "turn virtualization on in the firmware, and load kvm_intel or kvm_amd")
	}
	return errs
}

// findQEMU finds the program for machines of a processor.
func findQEMU(arch string) (string, error) {
	m, known := machines[arch]
	if !known {
		return "", fmt.Errorf("%w: a microVM for %s: there are those for amd64 and arm64", sandbox.ErrNotSupported, arch)
	}
	program, err := exec.LookPath(m.program)
	if err != nil {
		return "", fmt.Errorf("%w: %s: install QEMU (Debian: %s)", sandbox.ErrNotSupported, m.program, m.pack)
	}
	return program, nil
}

// Boot starts a machine. One of another processor than this system's is emulated.
func (d *Driver) Boot(ctx context.Context, c vmhost.Config) (vmhost.Machine, error) {
	program, err := findQEMU(c.Arch)
	if err != nil {
		return nil, err
	}
	daemon, err := findFilesDaemon()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrNotSupported, err)
	}
	call := bootCall{
		Plan:     plan{Arch: c.Arch, Accel: d.accel(c.Arch), Memory: c.Memory, CPUs: c.CPUs, Name: "consentry-" + c.Spec.ID},
		StateDir: d.config.StateDir, Spec: c.Spec, Kernel: c.Kernel, Initramfs: c.Initramfs, QEMU: program, FilesD: daemon,
	}
	if err := os.MkdirAll(d.config.StateDir, 0o700); err != nil {
		return nil, err
	}
	control, theirControl, err := fdwire.SocketPair()
	if err != nil {
		return nil, err
	}
	frames, theirFrames, err := fdwire.SocketPair()
	if err != nil {
		fdwire.CloseAll([]*os.File{control, theirControl})
		return nil, err
	}
	m, err := d.launch(ctx, call, theirControl, theirFrames)
	fdwire.CloseAll([]*os.File{theirControl, theirFrames})
	if err == nil {
		m.card = frames
		m.control, err = net.FileConn(control)
	}
	control.Close()
	if err != nil {
		frames.Close()
		return nil, err
	}
	return m, nil
}

// CheckFolder says why a folder is given to no app: it holds keys, sockets or
// the kernel's own files.
func (d *Driver) CheckFolder(path string) error {
	return linuxhost.CheckFolder(path, d.config.StateDir)
}

// CheckEmulated names what is missing for machines of another processor.
func (d *Driver) CheckEmulated(ctx context.Context, arch string) error {
	_, err := findQEMU(arch)
	return errors.Join(err, d.Check(ctx))
}

// Accelerated says whether machines run on KVM.
func (d *Driver) Accelerated() bool { return d.accel(runtime.GOARCH) == "kvm" }

func (d *Driver) accel(arch string) string {
	switch {
	case arch != runtime.GOARCH:
		return "tcg"
	case d.config.Accel == "" && HasKVM():
		return "kvm"
	}
	return cmp.Or(d.config.Accel, "tcg")
}

// launch starts a launcher and has it boot.
func (d *Driver) launch(ctx context.Context, call bootCall, files ...*os.File) (*machine, error) {
	conn, theirs, err := fdwire.Pair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	cmd := exec.Command(d.config.Self, LauncherName)
	cmd.Args[0] = "consentry"
	cmd.Env = []string{"GOMAXPROCS=2", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Stderr = complaint.Writer{Log: d.config.Log, Who: "launcher of a microVM", Run: call.Spec.ID}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:     true,
		Cloneflags: unix.CLONE_NEWPID | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS,
	}
	if err := cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("launcher of the microVM: %w", err), conn.Close())
	}
	m := &machine{cmd: cmd, peer: wire.New(conn, nil), Ending: vmhost.NewEnding()}
	serving := make(chan struct{})
	go func() {
		defer close(serving)
		//nolint:errcheck // its end is what counts
		m.peer.Serve(context.Background())
	}()
	if _, err := m.peer.Call(ctx, verbBoot, call, nil, files...); err != nil {
		m.end()
		<-serving
		//nolint:errcheck // how it ended is in the error of the call
		cmd.Wait()
		return nil, fmt.Errorf("boot: %w", err)
	}
	go m.await(serving)
	return m, nil
}

// machine is the agent's hold on a launcher and what runs below it.
type machine struct {
	*vmhost.Ending
	cmd     *exec.Cmd
	peer    *wire.Peer
	control io.ReadWriteCloser
	card    *os.File
}

// await learns why the machine ended, and sees to it that nothing is left.
func (m *machine) await(serving <-chan struct{}) {
	var e ended
	_, err := m.peer.Call(context.Background(), verbWait, struct{}{}, &e)
	switch {
	case err != nil:
		err = errors.New("the launcher of the microVM has ended")
	case !e.Clean:
		err = errors.New(e.Why)
	}
	m.end()
	<-serving
	//nolint:errcheck // killed, or ended by itself
	m.cmd.Wait()
	m.Over(err)
}

// end hangs up and kills the launcher; the kernel ends what is in its PID
// namespace before the launcher can be waited for.
func (m *machine) end() {
	m.peer.Close()
	//nolint:errcheck // it may have ended
	m.cmd.Process.Kill()
}

func (m *machine) Control() io.ReadWriteCloser { return m.control }

func (m *machine) Card() *os.File {
	card := m.card
	m.card = nil
	return card
}

func (m *machine) Kill() error {
	m.Doom()
	m.end()
	m.control.Close()
	<-m.Gone()
	return nil
}

// Walls are read by the launcher, from outside of QEMU.
func (m *machine) Walls(ctx context.Context) (walls []sandbox.Wall, err error) {
	_, err = m.peer.Call(ctx, verbWalls, struct{}{}, &walls)
	return walls, err
}

// HasKVM says whether a machine can be made on this one.
func HasKVM() bool {
	const (
		getVersion = 0xae00 // KVM_GET_API_VERSION
		createVM   = 0xae01 // KVM_CREATE_VM
		stable     = 12
	)
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	version, err := unix.IoctlRetInt(fd, getVersion)
	if err != nil || version != stable {
		return false
	}
	vm, err := unix.IoctlRetInt(fd, createVM)
	if err != nil {
		return false
	}
	unix.Close(vm)
	return true
}
