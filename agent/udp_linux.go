package agent

import (
	"cmp"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox/wire"
)

const maxDatagram = wire.MaxDatagram

// udpFlow relays datagrams between a UDP socket, which stays here (a worker
// that held it could send anywhere), and a socketpair that keeps datagrams
// apart, of which the worker gets one end.
type udpFlow struct {
	net.Conn // our end of the pair
	udp      *net.UDPConn
	theirs   *os.File
	relays   sync.WaitGroup
	in, out  atomic.Int64

	cutUntil time.Time // of relayUp: until then the kernel cuts what is too big
}

// tellSize is how often an app is told what size fits, while it goes on to send
// more.
const tellSize = time.Second

func newUDPFlow(udp *net.UDPConn) (passable, error) {
	pair, theirs, err := datagramPair()
	if err != nil {
		return nil, err
	}
	if err := cmp.Or(hearTrouble(udp), mayCut(udp, false)); err != nil {
		pair.Close()
		theirs.Close()
		return nil, err
	}
	f := &udpFlow{Conn: pair, udp: udp, theirs: theirs}
	f.relays.Go(f.relayUp)
	f.relays.Go(f.relayDown)
	return f, nil
}

// datagrams are buffers, lent while there is something to read: an app may have
// thousands of silent flows.
var datagrams = sync.Pool{New: func() any { return new([maxDatagram]byte) }}

// relayUp sends what the worker hands over, until either side is closed.
func (f *udpFlow) relayUp() {
	defer f.udp.Close()
	for {
		if err := withDatagram(f.Conn, f.send); err != nil {
			return
		}
	}
}

func (f *udpFlow) send(message []byte) {
	data, err := wire.Unframe(message)
	if err != nil {
		return // only we speak of trouble
	}
	f.stopCutting()
	for range sendAttempts {
		_, err := f.udp.Write(data)
		if err == nil {
			f.out.Add(int64(len(data)))
			return
		}
		if !f.tell(err) {
			return
		}
		f.startCutting(err)
	}
}

// sendAttempts of one datagram: an error may be about an earlier one, or about
// its size.
const sendAttempts = 3

// startCutting lets the kernel cut datagrams that are too big, now that the app
// has been told: none is lost for that.
func (f *udpFlow) startCutting(err error) {
	if errors.Is(err, syscall.EMSGSIZE) && mayCut(f.udp, true) == nil {
		f.cutUntil = time.Now().Add(tellSize)
	}
}

func (f *udpFlow) stopCutting() {
	if !f.cutUntil.IsZero() && time.Now().After(f.cutUntil) && mayCut(f.udp, false) == nil {
		f.cutUntil = time.Time{}
	}
}

// tell hands over what ICMP has said, and says whether err is about that: one
// datagram's trouble is not the end of a UDP flow.
func (f *udpFlow) tell(err error) bool {
	said := troubles(f.udp)
	if t, local := localTrouble(err); local && len(said) == 0 {
		said = append(said, t)
	}
	for _, t := range said {
		wire.SendTrouble(f.Conn, t) //nolint:errcheck // the relay sees that the worker has gone
	}
	return len(said) > 0 || passes(err)
}

// relayDown hands over what comes, and what ICMP says of what was sent.
func (f *udpFlow) relayDown() {
	defer f.Conn.Close()
	for {
		err := withDatagram(f.udp, func(data []byte) {
			if err := wire.SendDatagram(f.Conn, data); err == nil {
				f.in.Add(int64(len(data)))
			}
		})
		if err != nil && !f.tell(err) {
			return
		}
	}
}

// withDatagram waits for one message of conn and calls use with it.
func withDatagram(conn net.Conn, use func([]byte)) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	var buf *[maxDatagram]byte
	n := 0
	wait := raw.Read(func(fd uintptr) bool {
		buf = datagrams.Get().(*[maxDatagram]byte)
		for n, err = unix.Read(int(fd), buf[:]); errors.Is(err, unix.EINTR); {
			n, err = unix.Read(int(fd), buf[:])
		}
		if errors.Is(err, unix.EAGAIN) {
			datagrams.Put(buf)
			buf = nil
			return false
		}
		return true
	})
	if buf != nil {
		defer datagrams.Put(buf)
	}
	if wait != nil || err != nil {
		return cmp.Or(wait, err)
	}
	if _, isUDP := conn.(*net.UDPConn); n == 0 && !isUDP {
		return io.EOF
	}
	use(buf[:n])
	return nil
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
