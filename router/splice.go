package router

import (
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"time"

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
	out   net.Conn
	flow  *flow
	count *counters

	guard   guard    // nil when bytes need no look
	answers *answers // nil for a flow that has no guard
	pace    pacer
	lot     *lot   // nil when out cannot wait in one
	ended   func() // called once, when both sides are closed

	// from, up, down and lingers belong to the goroutine of their direction,
	// then to the one that closes.
	from     source
	up, down uint64    // bytes from and to the app
	lingers  time.Time // when the read deadline of out was set

	entry      waiter.Entry
	upParked   atomic.Bool
	downParked atomic.Bool
	downEnded  atomic.Bool
	gone       atomic.Bool  // one side was reset
	open       atomic.Int32 // directions
}

// start moves bytes until the flow is idle or has ended; what goes on after
// that does so on other goroutines.
func (s *splice) start() {
	s.open.Store(2)
	s.from = newSource(s.out)
	if !s.from.canPark() {
		s.lot = nil
	}
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
		s.expire() // Linux tells us at once, but copyUp may be stuck writing to a slow server
	}
	s.wake()
}

// wake starts copyUp, unless it runs or has ended.
func (s *splice) wake() {
	if s.upParked.CompareAndSwap(true, false) {
		go s.copyUp()
	}
}

// cut resets both sides; both directions then end.
func (s *splice) cut() {
	s.app.Abort()
	s.expire()
}

// expire ends every read and write of the far connection.
func (s *splice) expire() {
	s.gone.Store(true)
	s.out.SetDeadline(past)
	s.resume()
}

// resume starts copyDown when it is parked.
func (s *splice) resume() {
	if s.downParked.CompareAndSwap(true, false) {
		go s.copyDown()
	}
}

// sideEnded is called once by each direction.
func (s *splice) sideEnded() {
	if s.open.Add(-1) > 0 {
		return
	}
	s.app.queue.EventUnregister(&s.entry)
	if s.app.isReset() {
		abortOut(s.out)
	}
	s.app.close()
	s.lot.forget(s)
	s.out.Close()
	s.count.bytesIn.Add(s.up)
	s.count.bytesOut.Add(s.down)
	s.ended()
}

// copyUp moves what the app has said, until it says no more.
func (s *splice) copyUp() {
	var buf lent
	defer buf.giveBack()
	to := outlet(s.from)
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
			closeWrite(s.out)
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
	n, lost := s.out.Write(pass)
	if waits {
		err = nil
	}
	return n, errors.Join(lost, err)
}

// linger is how long, up to twice, a direction without bytes keeps its
// goroutine: waking it from the lot costs more than from Go's own poller.
const linger = 100 * time.Millisecond

// past is a deadline that ends reads and writes at once.
var past = time.Unix(1, 0)

// copyDown moves what the far end has said, until it has said nothing for a
// while.
func (s *splice) copyDown() {
	var buf lent
	defer buf.giveBack()
	for {
		s.setLinger()
		n, err := s.from.forward(s, &buf)
		s.down += uint64(n) //nolint:gosec // not negative
		if paced := spend(s.pace.down, n, s.alive); paced != nil {
			err = paced
		}
		switch {
		case err == nil:
		case errors.Is(err, os.ErrDeadlineExceeded) && s.lot != nil && !s.gone.Load():
			buf.giveBack()
			if s.park() {
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

// setLinger moves the read deadline on, unless that was done lately.
func (s *splice) setLinger() {
	if s.lot == nil {
		return
	}
	now := time.Now()
	if now.Sub(s.lingers) < linger {
		return
	}
	s.lingers = now
	s.out.SetReadDeadline(now.Add(2 * linger))
	if s.gone.Load() { // expire came in between, and its deadline stands
		s.out.SetReadDeadline(past)
	}
}

// park leaves the far connection to the lot, unless it says no.
func (s *splice) park() bool {
	s.downParked.Store(true)
	if waits := s.lot.wait(s, lotReadable); waits && !s.gone.Load() {
		return true
	}
	return !s.downParked.CompareAndSwap(true, false)
}

// lotSaw is called by the lot, after which the far connection is no longer
// watched. It does not block.
func (s *splice) lotSaw(broken bool) {
	switch {
	case !s.downEnded.Load():
		s.resume()
	case broken:
		s.cut()
	}
}

// endDown passes on that the far end has said its last. Nobody reads it any
// more, so the lot looks after it: a cut would go unnoticed.
func (s *splice) endDown() {
	s.app.closeWrite()
	if s.answers.noMore() {
		s.wake()
	}
	s.downEnded.Store(true)
	s.lot.wait(s, lotBroken)
	s.sideEnded()
}

// toApp sends what came down.
func (s *splice) toApp(data []byte) error {
	if s.answers.see(data) {
		s.wake()
	}
	return s.app.send(data, s.alive)
}

func (s *splice) alive() bool { return !broken(s.out) }

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
