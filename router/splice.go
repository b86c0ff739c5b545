package router

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"

	"gvisor.dev/gvisor/pkg/waiter"
)

// splice moves bytes between the app and a connection outside until both
// directions have ended. An end of stream is passed on as a half-close, a
// reset as a reset.
//
// Each direction is moved by a goroutine that lives only while there is
// something to move, as most flows are idle:
//
//	up    parked ── the app said something ──> copyUp ── it says no more ──> parked
//	down  parked ── the lot saw bytes ──> copyDown ── nothing for linger ──> parked
//
// Whichever direction ends last closes both sides.
type splice struct {
	app   *appConn
	out   farEnd
	flow  *flow
	count *counters

	guard   guard    // nil when bytes need no look
	answers *answers // nil for a flow that has no guard
	pace    pacer
	ended   func() // called once, when both sides are closed

	// up and down are bytes from and to the app. Each belongs to the goroutine
	// of its direction, then to the one that closes.
	up, down uint64

	entry    waiter.Entry
	upParked atomic.Bool
	open     atomic.Int32 // directions
}

// start moves bytes until the flow is idle or has ended; what goes on after
// that does so on other goroutines.
func (s *splice) start() {
	s.open.Store(2)
	s.out.read, s.out.cut = s.copyDown, s.cut
	s.upParked.Store(true)
	s.entry.Init(s, waiter.ReadableEvents|hangUp)
	s.app.queue.EventRegister(&s.entry)
	if s.app.isReset() || s.app.readable() { // before that
		s.NotifyEvent(0)
	}
	s.copyDown()
}

// NotifyEvent is called by the stack when the app said something, or was reset.
// It does not block.
func (s *splice) NotifyEvent(waiter.EventMask) {
	if s.app.isReset() {
		s.out.expire() // Linux tells us at once, but copyUp may be stuck writing to a slow server
	}
	s.wake()
}

// wake starts copyUp, unless it runs or has ended.
func (s *splice) wake() {
	if s.upParked.CompareAndSwap(true, false) {
		s.out.crew.Run(s.copyUp)
	}
}

// cut resets both sides; both directions then end.
func (s *splice) cut() {
	s.app.Abort()
	s.out.expire()
}

// sideEnded is called once by each direction.
func (s *splice) sideEnded() {
	if s.open.Add(-1) > 0 {
		return
	}
	s.app.queue.EventUnregister(&s.entry)
	if s.app.isReset() {
		abortOut(s.out.conn)
	}
	s.app.close()
	s.out.close()
	s.count.bytesIn.Add(s.up)
	s.count.bytesOut.Add(s.down)
	s.ended()
}

// copyUp moves what the app has said, until it says no more.
func (s *splice) copyUp() {
	var buf lent
	defer buf.giveBack()
	to := outlet(s.out.source)
	for {
		n, err := s.stepUp(&to, &buf)
		s.up += uint64(n) //nolint:gosec // not negative
		if paced := spend(s.pace.up, n, func() bool { return !s.app.isReset() }); paced != nil {
			err = paced
		}
		switch {
		case err == nil:
		case errors.Is(err, errWait):
			s.upParked.Store(true)
			if !s.canStep() || !s.upParked.CompareAndSwap(true, false) {
				return // wake goes on from here
			}
		case errors.Is(err, io.EOF):
			closeWrite(s.out.conn)
			s.sideEnded()
			return
		default:
			s.cut()
			s.sideEnded()
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
	n, lost := s.out.conn.Write(pass)
	if waits {
		err = nil
	}
	return n, errors.Join(lost, err)
}

// copyDown moves what the far end has said, until it has said nothing for a
// while.
func (s *splice) copyDown() {
	var buf lent
	defer buf.giveBack()
	for {
		s.out.setLinger()
		n, err := s.out.forward(s, &buf)
		s.down += uint64(n) //nolint:gosec // not negative
		if paced := spend(s.pace.down, n, s.alive); paced != nil {
			err = paced
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && s.out.idle():
			buf.giveBack()
			if s.out.park() {
				return
			}
		case errors.Is(err, io.EOF):
			s.endDown()
			return
		default:
			s.cut()
			s.sideEnded()
			return
		}
	}
}

// endDown passes on that the far end has said its last.
func (s *splice) endDown() {
	s.app.closeWrite()
	if s.answers.noMore() {
		s.wake()
	}
	s.out.endRead()
	s.sideEnded()
}

// toApp sends what came down.
func (s *splice) toApp(data []byte) error {
	if s.answers.see(data) {
		s.wake()
	}
	return s.app.send(data, s.alive)
}

func (s *splice) alive() bool { return !s.out.gone.Load() && !broken(s.out.conn) }

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
