package agent

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// abort resets the connection for every process that holds it: connecting a
// TCP socket to AF_UNSPEC disconnects it, sends a reset to the peer, and ends
// reads and writes with ECONNRESET (tcp_disconnect in the kernel).
func abort(conn syscall.Conn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var errno unix.Errno
	address := unix.RawSockaddr{Family: unix.AF_UNSPEC}
	err = raw.Control(func(fd uintptr) {
		_, _, errno = unix.Syscall(unix.SYS_CONNECT, fd, uintptr(unsafe.Pointer(&address)), unsafe.Sizeof(address))
	})
	if err == nil && errno != 0 {
		err = errno
	}
	return err
}

// tcpBytes reads the kernel's counters: what arrived, and what the peer has
// acknowledged.
func tcpBytes(conn syscall.Conn) (in, out int64) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0
	}
	//nolint:errcheck // a socket that has gone counts nothing
	raw.Control(func(fd uintptr) {
		info, err := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if err == nil {
			in, out = int64(info.Bytes_received), int64(info.Bytes_acked) //nolint:gosec // counters below 2^63
		}
	})
	return in, out
}
