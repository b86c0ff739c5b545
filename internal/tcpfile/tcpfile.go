//go:build unix

// Package tcpfile makes a net.Conn of a TCP socket that is an open file. Package
// net does the same with a second descriptor and a dozen system calls more, to
// find out what is known and to set what is set.
package tcpfile

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a connected TCP socket.
type Conn struct {
	file *os.File
	far  net.Addr
}

// New takes file over, which does not block. far is what RemoteAddr tells, nil
// for nothing.
func New(file *os.File, far net.Addr) *Conn {
	if far == nil {
		far = unnamed{}
	}
	return &Conn{file, far}
}

func (c *Conn) Read(b []byte) (int, error)         { return c.file.Read(b) }
func (c *Conn) Write(b []byte) (int, error)        { return c.file.Write(b) }
func (c *Conn) Close() error                       { return c.file.Close() }
func (c *Conn) SetDeadline(t time.Time) error      { return c.file.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.file.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }

// SyscallConn gives the descriptor, as long as it is open.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.file.SyscallConn() }

// RemoteAddr is what New was told.
func (c *Conn) RemoteAddr() net.Addr { return c.far }

// LocalAddr is of no use, and not asked for.
func (c *Conn) LocalAddr() net.Addr { return unnamed{} }

// File returns a duplicate.
func (c *Conn) File() (*os.File, error) {
	copied := -1
	err := c.control(func(fd int) (err error) {
		copied, err = unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		return os.NewSyscallError("dup", err)
	})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(copied), c.file.Name()), nil
}

// CloseRead ends reading.
func (c *Conn) CloseRead() error { return c.shutDown(unix.SHUT_RD) }

// CloseWrite is the half-close.
func (c *Conn) CloseWrite() error { return c.shutDown(unix.SHUT_WR) }

func (c *Conn) shutDown(how int) error {
	return c.control(func(fd int) error { return os.NewSyscallError("shutdown", unix.Shutdown(fd, how)) })
}

// SetLinger is as net.TCPConn's, in seconds.
func (c *Conn) SetLinger(sec int) error {
	linger := unix.Linger{Onoff: 1, Linger: int32(sec)} //nolint:gosec // a few seconds
	if sec < 0 {
		linger = unix.Linger{}
	}
	return c.control(func(fd int) error {
		return os.NewSyscallError("setsockopt", unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &linger))
	})
}

func (c *Conn) control(do func(fd int) error) error {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

type unnamed struct{}

func (unnamed) Network() string { return "tcp" }
func (unnamed) String() string  { return "flow" }
