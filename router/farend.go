package router

import (
	"net"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/internal/crew"
)

// farEnd is the connection outside of a flow. What reads it is a goroutine that
// lives only while there is something to read:
//
//	read ── nothing for linger ──> parked in the lot ── bytes, or gone ──> read
type farEnd struct {
	source
	lot  *lot // nil when conn cannot wait in one
	crew *crew.Crew
	read func() // goes on reading; a task of the crew
	cut  func() // called when conn breaks after the last read

	lingers time.Time // when the read deadline was set; of the reader
	parked  atomic.Bool
	ended   atomic.Bool // nobody reads any more
	gone    atomic.Bool // conn is of no more use
}

// linger is how long, up to twice, a reader without bytes keeps its goroutine:
// waking it from the lot costs more than from Go's own poller.
const linger = 100 * time.Millisecond

// past is a deadline that ends reads and writes at once.
var past = time.Unix(1, 0)

func newFarEnd(conn net.Conn, l *lot, c *crew.Crew) farEnd {
	s := newSource(conn)
	if !s.canPark() {
		l = nil
	}
	return farEnd{source: s, lot: l, crew: c}
}

// setLinger moves the read deadline on, unless that was done lately.
func (e *farEnd) setLinger() {
	if e.lot == nil {
		return
	}
	now := time.Now()
	if now.Sub(e.lingers) < linger {
		return
	}
	e.lingers = now
	e.conn.SetReadDeadline(now.Add(2 * linger)) //nolint:errcheck // the read tells
	if e.gone.Load() {                          // expire came in between, and its deadline stands
		e.conn.SetReadDeadline(past) //nolint:errcheck // the read tells
	}
}

// idle says whether a read that timed out only means that nothing came.
func (e *farEnd) idle() bool { return e.lot != nil && !e.gone.Load() }

// park leaves the connection to the lot, unless it says no.
func (e *farEnd) park() bool {
	e.parked.Store(true)
	if waits := e.lot.wait(e, lotReadable); waits && !e.gone.Load() {
		return true
	}
	return !e.parked.CompareAndSwap(true, false)
}

// resume starts the reader when it is parked.
func (e *farEnd) resume() {
	if e.parked.CompareAndSwap(true, false) {
		e.crew.Run(e.read)
	}
}

// expire ends every read and write.
func (e *farEnd) expire() {
	e.gone.Store(true)
	e.conn.SetDeadline(past)
	e.resume()
}

// endRead leaves a connection that has said its last to the lot: nobody reads it
// any more, so a cut would go unnoticed.
func (e *farEnd) endRead() {
	e.ended.Store(true)
	e.lot.wait(e, lotBroken)
}

// lotSaw is called by the lot, after which the connection is no longer watched.
// It does not block.
func (e *farEnd) lotSaw(broken bool) {
	switch {
	case !e.ended.Load():
		e.resume()
	case broken:
		e.cut()
	}
}

func (e *farEnd) close() {
	e.lot.forget(e)
	e.conn.Close()
}
