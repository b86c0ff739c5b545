package router

import (
	"errors"
	"io"
	"net"
	"time"

	"golang.org/x/time/rate"
)

// pacer holds the flows of one app to so many bytes a second, each way. The
// zero value holds nothing. Whoever moved bytes waits before the next ones, so
// TCP slows down by itself; datagrams wait in their queues and fall off there.
type pacer struct {
	up, down *rate.Limiter // from and to the app
}

const (
	// minBurst lets a small rate move whole packets.
	minBurst = 16 << 10 // bytes
	// burstsPerSecond keeps what is moved at once far below a second's worth.
	burstsPerSecond = 20
	// paceCheck is how often a long wait looks at whether the flow still lives.
	paceCheck = 250 * time.Millisecond
)

func newPacer(bytesPerSecond int64) pacer {
	if bytesPerSecond <= 0 {
		return pacer{}
	}
	limiter := func() *rate.Limiter {
		return rate.NewLimiter(rate.Limit(bytesPerSecond), int(max(bytesPerSecond/burstsPerSecond, minBurst)))
	}
	return pacer{up: limiter(), down: limiter()}
}

var errPaced = errors.New("the flow ended while it waited for its turn")

// spend pays for n bytes that were moved, and waits until they are paid.
func spend(l *rate.Limiter, n int, alive func() bool) error {
	if l == nil {
		return nil
	}
	for n > 0 {
		part := min(n, l.Burst())
		n -= part
		for left := l.ReserveN(time.Now(), part).Delay(); left > 0; left -= paceCheck {
			time.Sleep(min(left, paceCheck))
			if !alive() {
				return errPaced
			}
		}
	}
	return nil
}

// pacedConn is a connection to the app for who reads and writes it himself.
type pacedConn struct {
	net.Conn
	pace  pacer
	count *counters
}

func always() bool { return true }

func (c *pacedConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.count.bytesIn.Add(uint64(n)) //nolint:gosec // not negative
	spend(c.pace.up, n, always)    //nolint:errcheck // always alive
	return n, err
}

func (c *pacedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.count.bytesOut.Add(uint64(n)) //nolint:gosec // not negative
	spend(c.pace.down, n, always)   //nolint:errcheck // always alive
	return n, err
}

// CloseWrite is the half-close of what is inside.
func (c *pacedConn) CloseWrite() error {
	if half, can := c.Conn.(interface{ CloseWrite() error }); can {
		return half.CloseWrite()
	}
	return io.ErrClosedPipe
}
