package router

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// splice moves bytes between the app and a connection outside until both
// directions have ended. An end of stream is passed on as a half-close, a
// reset as a reset.
//
// What comes down is moved by one goroutine; what goes up by another that lives
// only while the app has something to say, as most flows are idle.
type splice struct {
	app   *appConn
	out   net.Conn
	flow  *flow
	count *counters

	guard   guard    // nil when bytes need no look
	answers *answers // nil for a flow that has no guard
	pace    pacer

	up, down uint64 // bytes from and to the app
	parked   atomic.Bool
	upDone   chan struct{}
}

func (s *splice) run() {
	// Linux tells us of the app's reset at once, but the goroutine that would
	// see it may be stuck writing to a slow server.
	forget := s.app.onReset(func() { s.out.SetDeadline(time.Unix(1, 0)) })
	defer forget()
	s.upDone = make(chan struct{})
	unwatch := s.app.onReadable(s.wake)
	defer unwatch()
	s.parked.Store(true)
	if s.app.readable() {
		s.wake()
	}
	s.copyDown()
	<-s.upDone
	if s.app.isReset() {
		abortOut(s.out)
	}
	s.app.close()
	s.out.Close()
	s.count.bytesIn.Add(s.up)
	s.count.bytesOut.Add(s.down)
}

// wake starts copyUp, unless it runs or has ended.
func (s *splice) wake() {
	if s.parked.CompareAndSwap(true, false) {
		go s.copyUp()
	}
}

// cut resets both sides; run then returns.
func (s *splice) cut() {
	s.app.Abort()
	s.out.SetDeadline(time.Unix(1, 0))
}

// copyUp moves what the app has said, until it says no more.
func (s *splice) copyUp() {
	var buf lent
	defer buf.giveBack()
	to := newOutlet(s.out)
	for {
		n, err := s.stepUp(to, &buf)
		s.up += uint64(n)
		if paced := spend(s.pace.up, n, func() bool { return !s.app.isReset() }); paced != nil {
			err = paced
		}
		switch {
		case err == nil:
		case errors.Is(err, errWait):
			s.parked.Store(true)
			if !s.canStep() || !s.parked.CompareAndSwap(true, false) {
				return // wake goes on from here
			}
		case errors.Is(err, io.EOF):
			closeWrite(s.out)
			close(s.upDone)
			return
		default:
			s.cut()
			close(s.upDone)
			return
		}
	}
}

// canStep says whether a step would do anything; what ends a flow comes first.
func (s *splice) canStep() bool { return s.app.readable() && !s.mustWait() }

func (s *splice) mustWait() bool { return s.answers.waiting() && !s.app.isReset() }

// stepUp moves some bytes, past the guard while there is one.
func (s *splice) stepUp(to *outlet, buf *lent) (int, error) {
	if s.guard == nil {
		return to.forward(s.app, buf)
	}
	if s.mustWait() {
		return 0, errWait
	}
	data, err := s.app.receiveLent(buf)
	waits := errors.Is(err, errWait) // but what the guard has held back may go on now
	pass, done, why := s.guard.look(data, err != nil && !waits)
	if why != dropNone {
		s.count.drop(why)
		return 0, errGuarded
	}
	if done {
		s.guard = nil
	}
	if len(pass) == 0 {
		return 0, err
	}
	n, lost := s.out.Write(pass)
	if waits {
		err = nil
	}
	return n, errors.Join(lost, err)
}

func (s *splice) copyDown() {
	var buf lent
	defer buf.giveBack()
	from := newSource(s.out)
	for {
		n, err := from.forward(s, &buf)
		s.down += uint64(n)
		if paced := spend(s.pace.down, n, s.alive); paced != nil {
			err = paced
		}
		if errors.Is(err, io.EOF) {
			s.app.closeWrite()
			if s.answers.noMore() {
				s.wake()
			}
			s.watch()
			return
		}
		if err != nil {
			s.cut()
			return
		}
	}
}

// toApp sends what came down.
func (s *splice) toApp(data []byte) error {
	if s.answers.see(data) {
		s.wake()
	}
	return s.app.send(data, s.alive)
}

func (s *splice) alive() bool { return !broken(s.out) }

// watch looks after a flow on which the other side has said its last: nobody
// reads it any more, so a cut would go unnoticed.
func (s *splice) watch() {
	tick := time.NewTicker(stallCheck)
	defer tick.Stop()
	for {
		select {
		case <-s.upDone:
			return
		case <-tick.C:
			if !s.alive() {
				s.cut()
				return
			}
		}
	}
}

func closeWrite(conn net.Conn) {
	if half, ok := conn.(interface{ CloseWrite() error }); ok {
		half.CloseWrite() //nolint:errcheck // the copy that reads sees a broken connection
	}
}

// abortOut makes the next Close a reset, so that the far end can tell an app
// that gave up from one that was done.
func abortOut(conn net.Conn) {
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0) //nolint:errcheck // then the far end sees an end
	}
}
