package main

import (
	"errors"
	"net"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

// patience is how long a probe waits for what will most likely not come.
const patience = 2 * time.Second

// target reads what the caller told us to aim at.
func (p *probe) target(key string) string {
	if p.targets[key] == "" {
		os.Stderr.WriteString("probe: no " + key + "= to aim at\n")
		os.Exit(2)
	}
	return p.targets[key]
}

func (p *probe) addr(key string) netip.Addr {
	addr, err := netip.ParseAddr(p.target(key))
	must(err)
	return addr
}

func (p *probe) port() uint16 {
	n, err := strconv.ParseUint(p.target("port"), 10, 16)
	must(err)
	return uint16(n)
}

func at(addr string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(addr), port)
}

// sockaddr writes an address as it stands: an IPv4-mapped one stays IPv6.
func sockaddr(to netip.AddrPort) (family int, sa unix.Sockaddr) {
	if to.Addr().Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
	}
	six := &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	if zone := to.Addr().Zone(); zone != "" {
		card, err := net.InterfaceByName(zone)
		must(err)
		six.ZoneId = uint32(card.Index) //nolint:gosec // an index
	}
	return unix.AF_INET6, six
}

// begin starts to connect. The descriptor is -1 when that failed at once.
func begin(to netip.AddrPort) (int, error) {
	family, sa := sockaddr(to)
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return -1, err
	}
	if err := unix.Connect(fd, sa); err != nil && !errors.Is(err, unix.EINPROGRESS) {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// outcome is what became of it: Held, Done, or the name of an errno.
func outcome(fd int, wait time.Duration) string {
	ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
	for end := time.Now().Add(wait); ; {
		n, err := unix.Poll(ready, max(0, int(time.Until(end).Milliseconds())))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		must(err)
		if n == 0 {
			return attack.Held
		}
		break
	}
	errno, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	must(err)
	if errno != 0 {
		return unix.ErrnoName(unix.Errno(errno))
	}
	return attack.Done
}

// connect is begin and outcome.
func connect(to netip.AddrPort) string {
	fd, err := begin(to)
	if err != nil {
		return nameOf(err)
	}
	defer unix.Close(fd)
	return outcome(fd, 30*time.Second)
}

func (p *probe) connect(try string, to netip.AddrPort) { p.tell(try, connect(to)) }

// exchange sends a datagram and says what came: Answered, Silence or an errno.
func exchange(to netip.AddrPort, payload []byte) string {
	reply, err := converse(to, payload)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return attack.Silence
	case err != nil:
		return nameOf(err)
	}
	return attack.Answered + " " + strconv.Itoa(len(reply)) + " bytes"
}

func converse(to netip.AddrPort, payload []byte) ([]byte, error) {
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(to))
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	must(conn.SetDeadline(time.Now().Add(patience)))
	if _, err := conn.Write(payload); err != nil {
		return nil, err
	}
	buf := make([]byte, 65536)
	n, err := conn.Read(buf)
	return buf[:n], err
}

func (p *probe) exchange(try string, to netip.AddrPort, payload []byte) {
	p.tell(try, exchange(to, payload))
}
