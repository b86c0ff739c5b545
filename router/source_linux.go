package router

import (
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// source reads a connection outside; raw is nil for one without a descriptor.
type source struct {
	conn net.Conn
	raw  syscall.RawConn
}

func newSource(conn net.Conn) *source {
	s := &source{conn: conn}
	if sys, ok := conn.(syscall.Conn); ok {
		if raw, err := sys.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

// read takes a buffer from l, and gives it back while there is nothing to read.
func (s *source) read(l *lent) ([]byte, error) {
	if s.raw == nil {
		n, err := s.conn.Read(l.take())
		return l.take()[:n], err
	}
	n, err := 0, error(nil)
	wait := s.raw.Read(func(fd uintptr) bool {
		for n, err = unix.Read(int(fd), l.take()); err == unix.EINTR; {
			n, err = unix.Read(int(fd), l.take())
		}
		if err != unix.EAGAIN {
			return true
		}
		l.giveBack()
		return false
	})
	switch {
	case wait != nil:
		return nil, wait
	case err != nil:
		return nil, err
	case n == 0:
		return nil, io.EOF
	}
	return l.take()[:n], nil
}
