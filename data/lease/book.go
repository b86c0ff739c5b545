// Package lease watches over answers that may be used again, in the process that met
// the app, for as long as the agent lets it.
//
// It promises that an answer is dropped when its lease ends, also when the
// lease ended while the answer was on its way; and that every use is reported.
package lease

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// reportEvery is how long uses are counted before they are told.
const reportEvery = time.Second

// maxEarly bounds the leases that ended before their answer was here.
const maxEarly = 4096

// Book has the leases of answers that are kept. The zero value is of no use: see New.
type Book struct {
	leaser sandbox.Leaser

	mu    sync.Mutex
	held  map[uint64]*Held
	early map[uint64]bool // ended, and not here yet
	order []uint64        // of early, oldest first
	lost  bool            // the agent does not tell any more: nothing is kept
	began bool            // somebody follows the leases

	ctx  context.Context // of following them
	stop context.CancelFunc
	work sync.WaitGroup
}

// Held is one answer.
type Held struct {
	drop  func()
	uses  atomic.Int64
	ended atomic.Bool
}

// Use counts a use; false when the lease has ended and the answer must not be used.
func (h *Held) Use() bool {
	if h.ended.Load() {
		return false
	}
	h.uses.Add(1)
	return true
}

// New returns a book of answers of broker. One that is no sandbox.Leaser gives
// no leases, so nothing is kept.
func New(broker sandbox.Broker) *Book {
	leaser, _ := broker.(sandbox.Leaser)
	b := &Book{leaser: leaser, held: map[uint64]*Held{}, early: map[uint64]bool{}, lost: leaser == nil}
	b.ctx, b.stop = context.WithCancel(context.Background())
	return b
}

// Close drops every answer.
func (b *Book) Close() {
	b.stop()
	b.work.Wait()
	b.dropAll()
}

// follow drops what has ended, until the agent has gone: then nothing is kept
// any more.
func (b *Book) follow() {
	for {
		ended, err := b.leaser.Ended(b.ctx)
		if err != nil {
			b.dropAll()
			return
		}
		for _, id := range ended {
			b.end(id)
		}
	}
}

// Hold has drop called when the lease of a reply ends. It is nil when the reply
// has no lease or that has ended already: then it must not be kept.
func (b *Book) Hold(reply sandbox.DataReply, drop func()) *Held {
	b.mu.Lock()
	defer b.mu.Unlock()
	if reply.Lease == 0 || b.lost || b.early[reply.Lease] {
		delete(b.early, reply.Lease)
		return nil
	}
	if !b.began {
		b.began = true
		b.work.Go(b.follow)
		b.work.Go(b.report)
	}
	h := &Held{drop: drop}
	b.held[reply.Lease] = h
	return h
}

// Release says that the answer is not wanted any more. Its uses are still told.
func (h *Held) Release() { h.ended.Store(true) }

func (b *Book) end(id uint64) {
	b.mu.Lock()
	h := b.held[id]
	if h == nil {
		b.early[id] = true
		if b.order = append(b.order, id); len(b.order) > maxEarly {
			delete(b.early, b.order[0])
			b.order = b.order[1:]
		}
	}
	b.mu.Unlock()
	if h != nil {
		h.finish()
	}
}

func (h *Held) finish() {
	if !h.ended.Swap(true) && h.drop != nil {
		h.drop()
	}
}

func (b *Book) dropAll() {
	b.mu.Lock()
	b.lost = true
	held := b.held
	b.held = map[uint64]*Held{}
	b.mu.Unlock()
	for _, h := range held {
		h.finish()
	}
}

// report tells of uses, and forgets what has ended.
func (b *Book) report() {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-b.ctx.Done():
			return
		}
		if uses := b.count(); len(uses) > 0 {
			if err := b.leaser.Reused(b.ctx, uses); errors.Is(err, sandbox.ErrUnavailable) {
				return
			}
		}
	}
}

func (b *Book) count() map[uint64]int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	uses := map[uint64]int64{}
	for id, h := range b.held {
		ended := h.ended.Load()
		if n := h.uses.Swap(0); n > 0 {
			uses[id] = n
		}
		if ended {
			delete(b.held, id)
		}
	}
	return uses
}
