package router

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// broken says whether conn was reset or disconnected, without reading it. A
// hang-up alone is none: both sides have said their last, and what the far one
// said may still wait to be read.
func broken(conn net.Conn) bool {
	sys, ok := conn.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sys.SyscallConn()
	if err != nil {
		return true
	}
	gone := false
	err = raw.Control(func(fd uintptr) {
		set := []unix.PollFd{{Fd: int32(fd)}} // errors and hang-ups are always reported
		n, err := unix.Poll(set, 0)
		gone = err == nil && n > 0 && set[0].Revents&(unix.POLLERR|unix.POLLNVAL) != 0
	})
	return gone || err != nil
}
