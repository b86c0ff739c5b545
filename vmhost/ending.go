package vmhost

import (
	"context"
	"sync"
)

// Ending is how a Machine ends, for a driver's to have: whoever waits is told
// why, and one that was killed has ended as it should.
type Ending struct {
	gone chan struct{}
	err  error // why, once gone

	mu     sync.Mutex
	doomed bool
}

// NewEnding returns one of a machine that runs.
func NewEnding() *Ending { return &Ending{gone: make(chan struct{})} }

// Wait is Machine's.
func (e *Ending) Wait(ctx context.Context) error {
	select {
	case <-e.gone:
		return e.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Gone is closed when nothing of the machine is left.
func (e *Ending) Gone() <-chan struct{} { return e.gone }

// Doom comes before the machine is killed: its end is no fault then.
func (e *Ending) Doom() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.doomed = true
}

// Doomed says whether it is being killed.
func (e *Ending) Doomed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.doomed
}

// Over says once that nothing of the machine is left, and why; nil: it went by
// itself.
func (e *Ending) Over(why error) {
	if !e.Doomed() {
		e.err = why
	}
	close(e.gone)
}
