package guestinit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
)

// openControl opens the port that the host named. The kernel lets one process
// have a port, once at a time, and this one keeps it.
func (g *guest) openControl(ctx context.Context) error {
	if g.boot.Port != 0 {
		return appears(ctx, g.callHost)
	}
	var port *os.File
	return appears(ctx, func() error {
		path, err := findPort(guestwire.ControlPort)
		if err != nil {
			return err
		}
		if port == nil {
			fd, err := unix.Open(path, unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			port = os.NewFile(uintptr(fd), guestwire.ControlPort)
			g.control = port
		}
		return connected(port)
	})
}

// callHost connects to the host's socket: vsock(7), which Hyper-V has too. The
// host takes one connection.
func (g *guest) callHost() error {
	fd, err := unix.Socket(unix.AF_VSOCK, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("vsock: %w", err)
	}
	if err := unix.Connect(fd, &unix.SockaddrVM{CID: unix.VMADDR_CID_HOST, Port: g.boot.Port}); err != nil {
		return errors.Join(fmt.Errorf("vsock port %d of the host: %w", g.boot.Port, err), unix.Close(fd))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		return errors.Join(err, unix.Close(fd))
	}
	g.control = os.NewFile(uintptr(fd), "vsock")
	return nil
}

// findPort is the device of the virtio-serial port of a name.
func findPort(name string) (string, error) {
	ports, err := filepath.Glob("/sys/class/virtio-ports/*/name")
	if err != nil {
		return "", err
	}
	for _, port := range ports {
		text, err := os.ReadFile(port)
		if err == nil && strings.TrimSpace(string(text)) == name {
			return filepath.Join("/dev", filepath.Base(filepath.Dir(port))), nil
		}
	}
	return "", fmt.Errorf("no virtio-serial port is named %s", name)
}

// connected says whether the host has its end: until then a read is at the end
// of the file.
func connected(port *os.File) error {
	raw, err := port.SyscallConn()
	if err != nil {
		return err
	}
	events := int16(unix.POLLHUP)
	err = raw.Control(func(fd uintptr) {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor
		if _, err := unix.Poll(p, 0); err == nil {
			events = p[0].Revents
		}
	})
	if err == nil && events&unix.POLLHUP != 0 {
		err = errors.New("the host has not opened its end of the control port")
	}
	return err
}
