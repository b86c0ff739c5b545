package router

import (
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// TestReopenedPort: an app resets a connection and opens the next one to the same
// place from the same port, without a breath.
func TestReopenedPort(t *testing.T) {
	l := newLab(t, labOptions{})
	l.broker.set(to(echoServer(t)))
	both(t, func(t *testing.T, family string) {
		const rounds = 300
		place, from := literal(family), uint16(45000)
		refused := map[error]int{}
		l.in(func() {
			for range rounds {
				if err := connectAndReset(from, netip.AddrPortFrom(place, 7)); err != nil {
					refused[err]++
				}
			}
		})
		if len(refused) != 0 {
			t.Errorf("of %d connections these failed: %v", rounds, refused)
		}
	})
}

func connectAndReset(from uint16, to netip.AddrPort) error {
	family := unix.AF_INET
	var local, far unix.Sockaddr = &unix.SockaddrInet4{Port: int(from)}, &unix.SockaddrInet4{Port: int(to.Port())}
	if to.Addr().Is4() {
		far.(*unix.SockaddrInet4).Addr = to.Addr().As4()
	} else {
		family = unix.AF_INET6
		local, far = &unix.SockaddrInet6{Port: int(from)}, &unix.SockaddrInet6{Port: int(to.Port()), Addr: to.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptLinger(fd, unix.SOL_SOCKET, unix.SO_LINGER, &unix.Linger{Onoff: 1}); err != nil {
		return err
	}
	if err := unix.Bind(fd, local); err != nil {
		return err
	}
	return unix.Connect(fd, far)
}
