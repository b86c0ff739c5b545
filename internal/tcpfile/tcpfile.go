//go:build unix

// Package tcpfile makes a net.Conn of a TCP socket that is an open file. Package
// net does the same with a second descriptor and a dozen system calls more, to
// find out what is known and to set what is set; and its poller watches each.
package tcpfile

import (
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Conn is a TCP socket.
type Conn struct {
	file      *os.File
	near, far net.Addr
}

// New takes file over, of which nobody asks the addresses.
func New(file *os.File) *Conn { return &Conn{file, unnamed{}, unnamed{}} }

// NewUnwatched takes over a socket that only another process will read and
// write, and that does not block afterwards. Go's poller does not watch it: it
// would wake this process for all that the other one does, as both have the same
// socket. Reads and writes fail where they would have to wait.
func NewUnwatched(fd int, far net.Addr) (*Conn, error) {
	file, err := unwatched(fd, "tcp")
	if err != nil {
		return nil, err
	}
	return &Conn{file, unnamed{}, far}, nil
}

// Unwatch takes conn over, as NewUnwatched does.
func Unwatch(conn *net.TCPConn) (*Conn, error) {
	defer conn.Close()
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(raw)
	if err != nil {
		return nil, err
	}
	c, err := NewUnwatched(fd, conn.RemoteAddr())
	if err != nil {
		return nil, err
	}
	c.near = conn.LocalAddr()
	return c, nil
}

// unwatched takes fd over. Package os has its poller watch what does not block
// when it is told of it.
func unwatched(fd int, name string) (*os.File, error) {
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, 0); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), name)
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_NONBLOCK); err != nil {
		file.Close()
		return nil, os.NewSyscallError("fcntl", err)
	}
	return file, nil
}

func duplicate(raw syscall.RawConn) (fd int, err error) {
	fd = -1
	control := raw.Control(func(old uintptr) { fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0) })
	if control != nil {
		return -1, control
	}
	return fd, os.NewSyscallError("dup", err)
}

func (c *Conn) Read(b []byte) (int, error)         { return c.file.Read(b) }
func (c *Conn) Write(b []byte) (int, error)        { return c.file.Write(b) }
func (c *Conn) Close() error                       { return c.file.Close() }
func (c *Conn) SetDeadline(t time.Time) error      { return c.file.SetDeadline(t) }
func (c *Conn) SetReadDeadline(t time.Time) error  { return c.file.SetReadDeadline(t) }
func (c *Conn) SetWriteDeadline(t time.Time) error { return c.file.SetWriteDeadline(t) }
func (c *Conn) LocalAddr() net.Addr                { return c.near }
func (c *Conn) RemoteAddr() net.Addr               { return c.far }

// SyscallConn gives the descriptor, as long as it is open.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.file.SyscallConn() }

// File returns a duplicate that nobody watches. No other process may have the
// socket yet, as it blocks for a moment.
func (c *Conn) File() (*os.File, error) {
	raw, err := c.file.SyscallConn()
	if err != nil {
		return nil, err
	}
	fd, err := duplicate(raw)
	if err != nil {
		return nil, err
	}
	return unwatched(fd, c.file.Name())
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
