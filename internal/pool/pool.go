// Package pool keeps a few things ready that take long to make. Each leaves the
// pool once, to whoever takes it or to its end; nothing ever comes back. Nothing
// is made before the first Refill, and all are ended when there was none for a
// while.
package pool

import (
	"context"
	"sync"
	"time"
)

const (
	// idleTime is how long things wait for somebody.
	idleTime = 5 * time.Minute
	// refillPause keeps the making of the next out of the way of whoever took the
	// last.
	refillPause = 30 * time.Millisecond
	makeTime    = 30 * time.Second
)

// Pool is ready for use once its fields are set. They are called without a lock,
// so that a slow one holds up nobody, and may be called for several things at a
// time.
type Pool[T any] struct {
	Size int                              // how many wait at most
	Make func(context.Context) (T, error) // an error leaves the pool as it is until the next Refill
	Dead func(T) bool                     // says whether one is of no use any more
	End  func(T)                          // ends one that nobody took, or clears one away that has died

	mu      sync.Mutex
	waiting []T
	filling bool
	closed  bool
	idle    *time.Timer
	work    sync.WaitGroup
}

// Take removes and returns the longest waiting thing that fits and lives; ok is
// false when there is none.
func (p *Pool[T]) Take(fits func(T) bool) (one T, ok bool) {
	p.sift()
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, one := range p.waiting {
		if fits(one) {
			p.waiting = append(p.waiting[:n:n], p.waiting[n+1:]...)
			return one, true
		}
	}
	return one, false
}

// Waiting returns those that live. They stay the pool's.
func (p *Pool[T]) Waiting() []T {
	p.mu.Lock()
	defer p.mu.Unlock()
	alive, _ := p.parted()
	return alive
}

// parted tells the living from the dead. The caller holds the lock.
func (p *Pool[T]) parted() (alive, dead []T) {
	for _, one := range p.waiting {
		if p.Dead(one) {
			dead = append(dead, one)
		} else {
			alive = append(alive, one)
		}
	}
	return alive, dead
}

// sift ends those that have died.
func (p *Pool[T]) sift() {
	p.mu.Lock()
	alive, dead := p.parted()
	p.waiting = alive
	p.mu.Unlock()
	p.end(dead)
}

func (p *Pool[T]) end(all []T) {
	for _, one := range all {
		p.End(one)
	}
}

// Refill makes the pool full in the background.
func (p *Pool[T]) Refill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.idle != nil {
		p.idle.Stop()
	}
	p.idle = time.AfterFunc(idleTime, p.drop)
	if !p.filling {
		p.filling = true
		p.work.Go(p.fill)
	}
}

func (p *Pool[T]) fill() {
	ctx, cancel := context.WithTimeout(context.Background(), makeTime)
	defer cancel()
	time.Sleep(refillPause)
	for p.wantsMore() {
		one, err := p.Make(ctx)
		p.mu.Lock()
		if err == nil {
			p.waiting = append(p.waiting, one)
		} else {
			p.filling = false // whoever asks next makes its own, and learns why not
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// wantsMore says whether one more is to be made; a no ends the filling.
func (p *Pool[T]) wantsMore() bool {
	p.sift()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.filling = !p.closed && len(p.waiting) < p.Size
	return p.filling
}

// drop ends all that wait.
func (p *Pool[T]) drop() {
	p.mu.Lock()
	all := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	p.end(all)
}

// Close ends all that wait, for good, and returns when they are gone.
func (p *Pool[T]) Close() {
	p.mu.Lock()
	p.closed = true
	if p.idle != nil {
		p.idle.Stop()
	}
	p.mu.Unlock()
	p.work.Wait()
	p.drop()
}
