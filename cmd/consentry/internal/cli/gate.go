package cli

import (
	"io"
	"sync"
)

// heldBytes is how much output of an app is kept while a question stands on
// the terminal; after that the app waits.
const heldBytes = 1 << 20

// gate holds the output of an app back while a question is on the screen, so
// that the app can neither paint over it nor make the terminal type an answer.
type gate struct {
	mu     sync.Mutex
	room   sync.Cond
	held   bool
	pieces []piece
	size   int
}

type piece struct {
	w    io.Writer
	data []byte
}

func newGate() *gate {
	g := &gate{}
	g.room.L = &g.mu
	return g
}

// through returns a writer that passes the gate on its way to w.
func (g *gate) through(w io.Writer) io.Writer { return gated{g: g, w: w} }

// over is through for our own few words, which never wait for room.
func (g *gate) over(w io.Writer) io.Writer { return gated{g: g, w: w, ours: true} }

type gated struct {
	g    *gate
	w    io.Writer
	ours bool
}

func (d gated) Write(p []byte) (int, error) {
	g := d.g
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.held && !d.ours && g.size+len(p) > heldBytes && g.size > 0 {
		g.room.Wait()
	}
	if !g.held {
		return d.w.Write(p)
	}
	g.pieces = append(g.pieces, piece{d.w, append([]byte(nil), p...)})
	g.size += len(p)
	return len(p), nil
}

// hold returns once nothing is being written; what comes is kept.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held = true
}

// release writes what was kept, in its order, and opens the gate.
func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.pieces {
		_, _ = p.w.Write(p.data)
	}
	g.pieces, g.size, g.held = nil, 0, false
	g.room.Broadcast()
}
