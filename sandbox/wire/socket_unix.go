//go:build unix

package wire

import (
	"net"
	"os"
	"syscall"
	"time"
)

// newSocket makes a connection of a TCP socket that the agent has passed, and
// takes file over. Package net would do the same with a second descriptor and
// a dozen more system calls, to find out what is known and to set what the agent
// has set.
func newSocket(file *os.File, closed func()) (net.Conn, error) {
	if err := file.SetDeadline(time.Time{}); err != nil { // it blocks, so nothing could cut it
		file.Close()
		return nil, err
	}
	return &socket{file: file, closed: closed}, nil
}

// socket is a TCP connection. It has no addresses: a worker has no use for them.
type socket struct {
	file   *os.File
	closed func()
}

func (s *socket) Read(b []byte) (int, error)            { return s.file.Read(b) }
func (s *socket) Write(b []byte) (int, error)           { return s.file.Write(b) }
func (s *socket) SetDeadline(t time.Time) error         { return s.file.SetDeadline(t) }
func (s *socket) SetReadDeadline(t time.Time) error     { return s.file.SetReadDeadline(t) }
func (s *socket) SetWriteDeadline(t time.Time) error    { return s.file.SetWriteDeadline(t) }
func (s *socket) SyscallConn() (syscall.RawConn, error) { return s.file.SyscallConn() }
func (s *socket) LocalAddr() net.Addr                   { return unnamed{} }
func (s *socket) RemoteAddr() net.Addr                  { return unnamed{} }

// Close may be called more than once.
func (s *socket) Close() error {
	err := s.file.Close()
	s.closed()
	return err
}

// CloseWrite is the half-close.
func (s *socket) CloseWrite() error {
	return s.control(func(fd int) error { return syscall.Shutdown(fd, syscall.SHUT_WR) })
}

// SetLinger is as net.TCPConn's, in seconds.
func (s *socket) SetLinger(sec int) error {
	linger := syscall.Linger{Onoff: 1, Linger: int32(sec)} //nolint:gosec // a few seconds
	if sec < 0 {
		linger = syscall.Linger{}
	}
	return s.control(func(fd int) error {
		return syscall.SetsockoptLinger(fd, syscall.SOL_SOCKET, syscall.SO_LINGER, &linger)
	})
}

func (s *socket) control(do func(fd int) error) error {
	raw, err := s.file.SyscallConn()
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
