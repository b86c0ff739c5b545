package dial

import (
	"cmp"
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/tcpfile"
)

// Keepalive as package net has it: seconds, and probes.
const (
	keepAliveIdle     = 15
	keepAliveInterval = 15
	keepAliveCount    = 9
)

// connectHere connects to a server of this computer. Linux delivers what goes to
// a loopback address within the call that sends it, so the connection is there, or
// refused, when connect(2) returns. Package net would wait for that by its poller,
// which wakes two threads.
func connectHere(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	conn, err := socketTo(to)
	if err != nil {
		return nil, failed(to, err)
	}
	if err := await(ctx, conn); err != nil {
		conn.Close()
		return nil, failed(to, err)
	}
	return conn, nil
}

// failed looks as package net's errors do.
func failed(to netip.AddrPort, err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: net.TCPAddrFromAddrPort(to), Err: err}
}

// socketTo returns a socket that is connecting.
func socketTo(to netip.AddrPort) (*tcpfile.Conn, error) {
	family, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
	if to.Addr().Is4() {
		family, at = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	conn, err := tcpfile.NewUnwatched(fd, net.TCPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	if err := control(conn, func(fd int) error { return connect(fd, at) }); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

func control(conn *tcpfile.Conn, do func(fd int) error) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = do(int(fd)) }); err != nil {
		return err
	}
	return failed
}

func connect(fd int, at unix.Sockaddr) error {
	if err := setOptions(fd); err != nil {
		return err
	}
	if err := unix.Connect(fd, at); !errors.Is(err, unix.EINPROGRESS) {
		return os.NewSyscallError("connect", err)
	}
	return nil
}

func setOptions(fd int) error {
	for _, o := range []struct{ level, name, value int }{
		{unix.IPPROTO_TCP, unix.TCP_NODELAY, 1},
		{unix.SOL_SOCKET, unix.SO_KEEPALIVE, 1},
		{unix.IPPROTO_TCP, unix.TCP_KEEPIDLE, keepAliveIdle},
		{unix.IPPROTO_TCP, unix.TCP_KEEPINTVL, keepAliveInterval},
		{unix.IPPROTO_TCP, unix.TCP_KEEPCNT, keepAliveCount},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.name, o.value); err != nil {
			return os.NewSyscallError("setsockopt", err)
		}
	}
	return nil
}

// await returns once conn is connected, or is not going to be.
func await(ctx context.Context, conn *tcpfile.Conn) error {
	there := false
	err := control(conn, func(fd int) (err error) { there, err = arrived(fd); return err })
	if err != nil || there {
		return err
	}
	// The server's queue is full, or the machine is so busy that a kernel thread delivers.
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	file, err := watched(conn)
	if err != nil {
		return err
	}
	defer file.Close()
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { file.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // it is watched
	waited := raw.Write(func(fd uintptr) bool { there, err = arrived(int(fd)); return there })
	if !stop() {
		return ctx.Err()
	}
	return cmp.Or(waited, err)
}

// watched is a duplicate that can be waited for.
func watched(conn *tcpfile.Conn) (*os.File, error) {
	var file *os.File
	err := control(conn, func(fd int) error {
		again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err == nil {
			file = os.NewFile(uintptr(again), "tcp")
		}
		return os.NewSyscallError("dup", err)
	})
	return file, err
}

// arrived says whether a connecting socket is connected, or what kept it from it.
func arrived(fd int) (bool, error) {
	look := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}} //nolint:gosec // a descriptor
	n, err := unix.Poll(look, 0)
	if err != nil || n == 0 {
		return false, nil // a signal: look again
	}
	code, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	if err == nil && code != 0 {
		err = unix.Errno(code)
	}
	return true, os.NewSyscallError("connect", err)
}
