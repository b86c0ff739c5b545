package router

import (
	"bytes"
	"cmp"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// appConn is a TCP connection with the app, or the app's end of a UDP association.
type appConn struct {
	ep      tcpip.Endpoint
	queue   *waiter.Queue
	aborted atomic.Bool
}

func newAppConn(ep tcpip.Endpoint, queue *waiter.Queue) *appConn {
	ep.SocketOptions().SetDelayOption(false) // no Nagle
	return &appConn{ep: ep, queue: queue}
}

// newAppDatagrams is for UDP: what is said before anybody reads it waits, up to
// a bound.
func newAppDatagrams(ep tcpip.Endpoint, queue *waiter.Queue) *appConn {
	ep.SocketOptions().SetReceiveBufferSize(udpQueue, false)
	return &appConn{ep: ep, queue: queue}
}

// conn is the connection with deadlines, at the cost of memory.
func (c *appConn) conn() *gonet.TCPConn { return gonet.NewTCPConn(c.queue, c.ep) }

// closeWrite passes on the end of a stream.
func (c *appConn) closeWrite() {
	c.ep.Shutdown(tcpip.ShutdownWrite) // an error means that it has ended already
}

func (c *appConn) close() { c.ep.Close() }

// Abort resets the connection; whoever reads or writes it gets an error.
func (c *appConn) Abort() {
	if c.aborted.CompareAndSwap(false, true) {
		c.ep.Abort()
	}
}

// isReset says whether the app, or Abort, reset the connection.
func (c *appConn) isReset() bool { return tcp.EndpointState(c.ep.State()) == tcp.StateError }

const hangUp = waiter.EventHUp | waiter.EventErr

// errWait says that there is nothing to do before the other side does something.
var errWait = errors.New("nothing there yet")

// receiveLent reads what there is, at least a byte; io.EOF is the app's
// half-close. The buffer is given back when there is nothing.
func (c *appConn) receiveLent(l *lent) ([]byte, error) { return c.receive(l, c.waiting()) }

// receiveDatagram is the same for UDP. A datagram may come after it was looked
// whether there is one, and must then not be cut short.
func (c *appConn) receiveDatagram(l *lent) ([]byte, error) {
	return c.receive(l, cmp.Or(c.waiting(), maxDatagram))
}

func (c *appConn) receive(l *lent, most int) ([]byte, error) {
	buf := l.take(most)
	n, err := c.tryReceive(buf)
	if wouldBlock(err) {
		l.giveBack()
		return nil, errWait
	}
	return buf[:n], failure(err)
}

// waiting is how many bytes of the app can be read.
func (c *appConn) waiting() int {
	n, err := c.ep.GetSockOptInt(tcpip.ReceiveQueueSizeOption)
	if err != nil {
		return 0
	}
	return n
}

// readable says whether reading would not make one wait.
func (c *appConn) readable() bool { return c.ep.Readiness(waiter.ReadableEvents|hangUp) != 0 }

func (c *appConn) tryReceive(buf []byte) (int, tcpip.Error) {
	w := tcpip.SliceWriter(buf)
	result, err := c.ep.Read(&w, tcpip.ReadOptions{})
	return result.Count, err
}

// stallCheck is how often a write that the app does not take looks at whether
// the other side is still there.
const stallCheck = 500 * time.Millisecond

// send writes all of buf. While the app takes nothing it calls alive now and
// then, and gives up when that returns false.
func (c *appConn) send(buf []byte, alive func() bool) error {
	var data bytes.Reader
	for {
		data.Reset(buf)
		n, err := c.ep.Write(&data, tcpip.WriteOptions{})
		buf = buf[n:]
		switch {
		case err == nil && len(buf) == 0:
			return nil
		case wouldBlock(err):
			if err := c.waitWritable(alive); err != nil {
				return err
			}
		case err != nil:
			return failure(err)
		}
	}
}

var errStalled = errors.New("the other side has gone")

func (c *appConn) waitWritable(alive func() bool) error {
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | hangUp)
	c.queue.EventRegister(&entry)
	defer c.queue.EventUnregister(&entry)
	if c.ep.Readiness(waiter.WritableEvents|hangUp) != 0 {
		return nil
	}
	tick := time.NewTicker(stallCheck)
	defer tick.Stop()
	for {
		select {
		case <-ready:
			return nil
		case <-tick.C:
			if !alive() {
				return errStalled
			}
		}
	}
}

func wouldBlock(err tcpip.Error) bool {
	_, yes := err.(*tcpip.ErrWouldBlock)
	return yes
}

// failure turns a stack error into a Go one; the end of the stream is io.EOF.
func failure(err tcpip.Error) error {
	switch err.(type) {
	case nil:
		return nil
	case *tcpip.ErrClosedForReceive:
		return io.EOF
	}
	return errors.New(err.String())
}
