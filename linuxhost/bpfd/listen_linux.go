package bpfd

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
)

// ReadDirs are the folders that loading reads: the kernel's types, and the list of
// its security modules.
var ReadDirs = []string{"/sys/kernel/btf", "/sys/kernel/security"}

// firstFD is the first descriptor that systemd passes (sd_listen_fds(3)).
const firstFD = 3

// Inherited is the socket that systemd listened on for us; nil when this process
// was not started for one.
func Inherited() (*net.UnixListener, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if n := os.Getenv("LISTEN_FDS"); n != "1" {
		return nil, fmt.Errorf("systemd passes %s sockets, want 1", n)
	}
	unix.CloseOnExec(firstFD)
	kind, err := unix.GetsockoptInt(firstFD, unix.SOL_SOCKET, unix.SO_TYPE)
	if err != nil {
		return nil, fmt.Errorf("socket of systemd: %w", err)
	}
	if kind != unix.SOCK_SEQPACKET {
		return nil, errors.New("socket of systemd: want ListenSequentialPacket=")
	}
	f := os.NewFile(firstFD, "listener")
	defer f.Close()
	l, err := net.FileListener(f)
	if err != nil {
		return nil, fmt.Errorf("socket of systemd: %w", err)
	}
	own, is := l.(*net.UnixListener)
	if !is {
		return nil, errors.Join(fmt.Errorf("socket of systemd is %T", l), l.Close())
	}
	return own, nil
}

// Listen makes the socket where no systemd does. Every user may connect.
func Listen(path string) (*net.UnixListener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("listen: %w", err)
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	if err := os.Chmod(path, 0o666); err != nil { //nolint:gosec // callers are told apart by their credentials
		return nil, errors.Join(fmt.Errorf("listen: %w", err), l.Close())
	}
	return l, nil
}

// Prepare does what a confined process cannot: it makes the directory of the pins,
// in the BPF file system, which is mounted where nobody has done it.
func Prepare(path string) error {
	if err := bpf.Warm(); err != nil {
		return err
	}
	if err := bpf.MountPinRoot(); err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("directory of pins: %w", err)
	}
	return nil
}
