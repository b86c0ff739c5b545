package router

import (
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	// handshakeTimeout bounds the wait for an app that never acknowledges.
	handshakeTimeout = 10 * time.Second
	// handshakeAgain is after how long giving up is said again.
	handshakeAgain = 20 * time.Millisecond
)

// handshake is the wait for the app's ACK. The stack waits for an event of the
// queue alone, and finds out then whether there is a connection. An event that
// comes before the stack waits is lost: giving up is said until it is heard.
type handshake struct {
	queue waiter.Queue

	mu    sync.Mutex
	timer *time.Timer // nil once the wait is over
}

func newHandshake(timeout time.Duration) *handshake {
	h := &handshake{}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(timeout, h.giveUp)
	return h
}

// giveUp ends the wait; it may be called from any goroutine.
func (h *handshake) giveUp() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.timer != nil {
		h.queue.Notify(waiter.WritableEvents)
		h.timer.Reset(handshakeAgain)
	}
}

// end must come after the wait.
func (h *handshake) end() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer.Stop()
	h.timer = nil
}
