//go:build unix

package portal

import (
	"io"
	"net"

	"golang.org/x/sys/unix"
)

// peek shows look what has arrived on conn, each time that more has, until look
// is content. It takes nothing away: the same socket is carried on afterwards.
func peek(conn *net.TCPConn, look func(head []byte) (enough bool)) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	head := make([]byte, maxLine)
	var failed error
	err = raw.Read(func(fd uintptr) bool {
		n, _, err := unix.Recvfrom(int(fd), head, unix.MSG_PEEK)
		for err == unix.EINTR {
			n, _, err = unix.Recvfrom(int(fd), head, unix.MSG_PEEK)
		}
		switch {
		case err == unix.EAGAIN:
			return false
		case err != nil:
			failed = err
			return true
		case n == 0:
			failed = io.EOF
			return true
		}
		return look(head[:n])
	})
	if err == nil {
		err = failed
	}
	return err
}
