package agent

import (
	"errors"
	"net"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const maxDatagram = 64 << 10 // bytes

// udpFlow relays datagrams between a UDP socket, which stays here (a worker
// that held it could send anywhere), and a socketpair that keeps datagrams
// apart, of which the worker gets one end.
type udpFlow struct {
	net.Conn // our end of the pair
	udp      *net.UDPConn
	theirs   *os.File
	relays   sync.WaitGroup
	in, out  atomic.Int64
}

func newUDPFlow(udp *net.UDPConn) (passable, error) {
	pair, theirs, err := datagramPair()
	if err != nil {
		return nil, err
	}
	f := &udpFlow{Conn: pair, udp: udp, theirs: theirs}
	f.relays.Go(func() { relay(f.udp, f.Conn, &f.out) })
	f.relays.Go(func() { relay(f.Conn, f.udp, &f.in) })
	return f, nil
}

// relay copies datagrams until either side is closed. An ICMP error about one
// datagram is not the end of a UDP flow. An empty datagram is dropped, as on
// the pair it would read as a hang-up.
func relay(to, from net.Conn, count *atomic.Int64) {
	defer to.Close()
	buf := make([]byte, maxDatagram)
	for {
		n, err := from.Read(buf)
		switch {
		case errors.Is(err, unix.ECONNREFUSED), errors.Is(err, unix.EHOSTUNREACH), errors.Is(err, unix.ENETUNREACH):
			continue
		case err != nil:
			return
		case n == 0:
			continue
		}
		if _, err := to.Write(buf[:n]); err == nil {
			count.Add(int64(n))
		}
	}
}

// File duplicates the worker's end.
func (f *udpFlow) File() (*os.File, error) {
	fd, err := unix.FcntlInt(f.theirs.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "udp-peer"), nil
}

func (f *udpFlow) cut() error { return f.udp.Close() }

func (f *udpFlow) dialled() string { return f.udp.RemoteAddr().String() }

func (f *udpFlow) bytes() (in, out int64) { return f.in.Load(), f.out.Load() }

func (f *udpFlow) Close() error {
	f.udp.Close()
	f.Conn.Close()
	f.theirs.Close()
	f.relays.Wait()
	return nil
}
