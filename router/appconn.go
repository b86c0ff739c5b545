package router

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

// appConn is a TCP connection with the app. The net.Conn part is gonet's, with
// deadlines; splices use receive and send, which are cheaper.
type appConn struct {
	*gonet.TCPConn
	ep    tcpip.Endpoint
	queue *waiter.Queue
	abort func()
}

func newAppConn(ep tcpip.Endpoint, queue *waiter.Queue) *appConn {
	ep.SocketOptions().SetDelayOption(false) // no Nagle
	return &appConn{
		TCPConn: gonet.NewTCPConn(queue, ep), ep: ep, queue: queue,
		abort: sync.OnceFunc(ep.Abort),
	}
}

// Abort resets the connection; whoever reads or writes it gets an error.
func (c *appConn) Abort() { c.abort() }

// isReset says whether the app, or Abort, reset the connection.
func (c *appConn) isReset() bool { return tcp.EndpointState(c.ep.State()) == tcp.StateError }

// onReset calls f, which must not block, when the connection is reset, until
// the returned function is called.
func (c *appConn) onReset(f func()) (forget func()) {
	entry := waiter.NewFunctionEntry(waiter.EventHUp|waiter.EventErr, func(waiter.EventMask) {
		if c.isReset() {
			f()
		}
	})
	c.queue.EventRegister(&entry)
	return func() { c.queue.EventUnregister(&entry) }
}

const hangUp = waiter.EventHUp | waiter.EventErr

// receive reads at least one byte; io.EOF is the app's half-close.
func (c *appConn) receive(buf []byte) (int, error) {
	for {
		n, err := c.tryReceive(buf)
		if !wouldBlock(err) {
			return n, failure(err)
		}
		c.waitReadable()
	}
}

// receiveLent is receive into a buffer that is given back while waiting.
func (c *appConn) receiveLent(l *lent) ([]byte, error) {
	for {
		n, err := c.tryReceive(l.take())
		if !wouldBlock(err) {
			return l.take()[:n], failure(err)
		}
		l.giveBack()
		c.waitReadable()
	}
}

func (c *appConn) waitReadable() {
	entry, ready := waiter.NewChannelEntry(waiter.ReadableEvents | hangUp)
	c.queue.EventRegister(&entry)
	defer c.queue.EventUnregister(&entry)
	if c.ep.Readiness(waiter.ReadableEvents|hangUp) == 0 {
		<-ready
	}
}

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
