package dial

import (
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
// which wakes two threads: half of what such a connection costs the agent.
func connectHere(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	fd, err := socketTo(to)
	if err != nil {
		return nil, failed(to, err)
	}
	conn := tcpfile.New(os.NewFile(uintptr(fd), "tcp"), net.TCPAddrFromAddrPort(to))
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
func socketTo(to netip.AddrPort) (int, error) {
	family, at := unix.AF_INET6, unix.Sockaddr(&unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()})
	if to.Addr().Is4() {
		family, at = unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, unix.IPPROTO_TCP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	if err = setOptions(fd); err == nil {
		err = connecting(unix.Connect(fd, at))
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func connecting(err error) error {
	if errors.Is(err, unix.EINPROGRESS) {
		return nil
	}
	return os.NewSyscallError("connect", err)
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
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var outcome error
	there := false
	look := func(fd uintptr) bool { there, outcome = arrived(int(fd)); return there }
	if err := raw.Control(func(fd uintptr) { look(fd) }); err != nil || there {
		return firstOf(err, outcome)
	}
	// The server's queue is full, or the machine is so busy that a kernel thread delivers.
	conn.SetDeadline(time.Now().Add(dialTimeout))                                //nolint:errcheck // a socket has deadlines
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) }) //nolint:errcheck // as above
	err = raw.Write(look)
	if !stop() {
		return ctx.Err()
	}
	return firstOf(err, outcome, conn.SetDeadline(time.Time{}))
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

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
