package router

import (
	"bytes"
	"errors"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/consentry/consentry/sandbox"
)

// association moves datagrams both ways until the far end is closed or nothing
// went either way for a while. Like a splice it has goroutines and buffers only
// while there is something to move.
type association struct {
	app     *appConn
	out     farEnd
	count   *counters
	pace    pacer
	quiet   time.Duration         // after which it ends
	trouble func(sandbox.Trouble) // called with what the network said of a datagram
	ended   func(cut bool)        // called once; cut says that the far end was taken away

	idle     *time.Timer
	entry    waiter.Entry
	upParked atomic.Bool
	cut      atomic.Bool
	open     atomic.Int32 // directions
}

// framed is a connection whose messages are not quite datagrams. Unframe turns
// one into a datagram, or into what the network said of an earlier one.
type framed interface {
	Unframe(message []byte) ([]byte, error)
}

// start moves datagrams until there are none for now.
func (a *association) start() {
	a.open.Store(2)
	a.idle = time.AfterFunc(a.quiet, a.close)
	a.upParked.Store(true)
	a.entry.Init(a, waiter.ReadableEvents|hangUp)
	a.app.queue.EventRegister(&a.entry)
	a.NotifyEvent(0)
	a.copyDown()
}

// close may be called from any goroutine, more than once.
func (a *association) close() {
	a.out.expire()
	a.NotifyEvent(0)
}

// NotifyEvent is called by the stack when the app has sent something.
func (a *association) NotifyEvent(waiter.EventMask) {
	if a.upParked.CompareAndSwap(true, false) {
		a.out.crew.Run(a.copyUp)
	}
}

// copyUp moves what the app has sent.
func (a *association) copyUp() {
	var buf lent
	defer buf.giveBack()
	for !a.out.gone.Load() {
		data, err := a.app.receiveDatagram(&buf)
		switch {
		case err == nil:
			a.sendUp(data)
			continue
		case !errors.Is(err, errWait):
			a.out.expire()
			continue
		}
		a.upParked.Store(true)
		if !a.app.readable() && !a.out.gone.Load() || !a.upParked.CompareAndSwap(true, false) {
			return // NotifyEvent goes on from here
		}
	}
	a.sideEnded()
}

func (a *association) sendUp(data []byte) {
	_, err := a.out.conn.Write(data)
	if err != nil && a.passes(err) { // about an earlier one: Linux sent this one not
		_, err = a.out.conn.Write(data)
	}
	if err != nil && !a.passes(err) {
		a.out.expire()
		return
	}
	a.count.bytesIn.Add(uint64(len(data)))
	spend(a.pace.up, len(data), a.alive) //nolint:errcheck // the loop looks again
	a.idle.Reset(a.quiet)
}

func (a *association) alive() bool { return !a.out.gone.Load() }

// copyDown moves what the far end has sent, until it has sent nothing for a
// while.
func (a *association) copyDown() {
	var buf lent
	defer buf.giveBack()
	for {
		a.out.setLinger()
		data, err := a.out.receive(&buf)
		switch {
		case err == nil:
			a.sendDown(data)
		case errors.Is(err, os.ErrDeadlineExceeded) && a.out.idle():
			buf.giveBack()
			if a.out.park() {
				return
			}
		case a.passes(err):
		default:
			a.cut.Store(!errors.Is(err, os.ErrDeadlineExceeded))
			a.out.ended.Store(true)
			a.sideEnded()
			a.close()
			return
		}
	}
}

func (a *association) sendDown(message []byte) {
	if f, ok := a.out.conn.(framed); ok {
		var err error
		if message, err = f.Unframe(message); err != nil {
			a.passes(err) // whatever it is, the message was all there was to it
			return
		}
	}
	a.app.ep.Write(bytes.NewReader(message), tcpip.WriteOptions{}) // what does not fit is lost
	a.count.bytesOut.Add(uint64(len(message)))
	spend(a.pace.down, len(message), a.alive) //nolint:errcheck // the loop looks again
	a.idle.Reset(a.quiet)
}

// passes says whether an error concerns one datagram, and passes on those that
// came as ICMP.
func (a *association) passes(err error) bool {
	t, said := troubleOf(err)
	if said {
		a.trouble(t)
	}
	return said || passing(err)
}

// troubleOf is for far ends of all kinds: an agent's says it in whole, a socket
// has only an errno.
func troubleOf(err error) (t sandbox.Trouble, said bool) {
	switch {
	case errors.As(err, &t):
		return t, true
	case errors.Is(err, syscall.ECONNREFUSED):
		return sandbox.Trouble{Kind: sandbox.PortUnreachable}, true
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return sandbox.Trouble{Kind: sandbox.HostUnreachable}, true
	}
	return t, false
}

// passing errors concern one datagram.
func passing(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EMSGSIZE)
}

func (a *association) sideEnded() {
	if a.open.Add(-1) > 0 {
		return
	}
	a.idle.Stop()
	a.app.queue.EventUnregister(&a.entry)
	a.app.close()
	a.out.close()
	a.ended(a.cut.Load())
}
