package router

import (
	"errors"
	"io"
	"net"
	"time"
)

// splice moves bytes between the app and a connection outside until both
// directions have ended. An end of stream is passed on as a half-close, a
// reset as a reset.
type splice struct {
	app   *appConn
	out   net.Conn
	flow  *flow
	count *counters

	up, down uint64 // bytes from and to the app
}

func (s *splice) run() {
	// Linux tells us of the app's reset at once, but the goroutine that would
	// see it may be stuck writing to a slow server.
	forget := s.app.onReset(func() { s.out.SetDeadline(time.Unix(1, 0)) })
	defer forget()
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.copyUp()
	}()
	s.copyDown(done)
	<-done
	if s.app.isReset() {
		abortOut(s.out)
	}
	s.app.Close()
	s.out.Close()
	s.count.bytesIn.Add(s.up)
	s.count.bytesOut.Add(s.down)
}

// cut resets both sides; run then returns.
func (s *splice) cut() {
	s.app.Abort()
	s.out.SetDeadline(time.Unix(1, 0))
}

func (s *splice) copyUp() {
	var buf lent
	defer buf.giveBack()
	if !s.checkHello(buf.take()) {
		s.count.drop(cutTLS)
		s.cut()
		return
	}
	for to := newOutlet(s.out); ; {
		n, err := to.forward(s.app, &buf)
		s.up += uint64(n)
		if errors.Is(err, io.EOF) {
			closeWrite(s.out)
			return
		}
		if err != nil {
			s.cut()
			return
		}
	}
}

// writeOut says whether the bytes went out; if not, the flow is cut.
func (s *splice) writeOut(b []byte) bool {
	n, err := s.out.Write(b)
	s.up += uint64(n)
	if err != nil {
		s.cut()
	}
	return err == nil
}

func (s *splice) copyDown(upDone <-chan struct{}) {
	var buf lent
	defer buf.giveBack()
	alive := func() bool { return !broken(s.out) }
	from := newSource(s.out)
	for {
		n, err := from.forward(s.app, &buf, alive)
		s.down += uint64(n)
		if errors.Is(err, io.EOF) {
			s.app.CloseWrite()
			s.watch(upDone, alive)
			return
		}
		if err != nil {
			s.cut()
			return
		}
	}
}

// watch looks after a flow on which the other side has said its last: nobody
// reads it any more, so a cut would go unnoticed.
func (s *splice) watch(upDone <-chan struct{}, alive func() bool) {
	tick := time.NewTicker(stallCheck)
	defer tick.Stop()
	for {
		select {
		case <-upDone:
			return
		case <-tick.C:
			if !alive() {
				s.cut()
				return
			}
		}
	}
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}

// abortOut makes the next Close a reset, so that the far end can tell an app
// that gave up from one that was done.
func abortOut(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
}
