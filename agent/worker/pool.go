package worker

import (
	"context"
	"io"
	"sync"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// A worker that waits costs memory, so there are few, and none when nothing was
// started for a while.
const (
	defaultReady = 2
	readyTime    = 5 * time.Minute
	refillPause  = 30 * time.Millisecond // not while the run that took the last is started
)

// Pool keeps workers that have no job yet: nothing of an app was ever in one,
// and until it gets its job all that it asks is refused. The zero Pool with Self
// set is ready for use.
type Pool struct {
	Self   string    // the program to run as a worker
	Stderr io.Writer // takes the workers' own logs

	mu      sync.Mutex
	waiting []*Client
	filling bool
	closed  bool
	idle    *time.Timer
	work    sync.WaitGroup
}

// Get returns a worker whose questions broker answers: one that waited, or a
// new one.
func (p *Pool) Get(ctx context.Context, broker sandbox.Broker) (*Client, error) {
	defer p.refill()
	for {
		c := p.take()
		if c == nil {
			return Start(ctx, p.Self, broker, p.Stderr)
		}
		if !c.gone() {
			c.serve(broker)
			return c, nil
		}
	}
}

func (p *Pool) take() *Client {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiting) == 0 {
		return nil
	}
	c := p.waiting[0]
	p.waiting = p.waiting[1:]
	return c
}

// refill makes the pool full in the background, and empties it when nobody
// asks for a while.
func (p *Pool) refill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	if p.idle != nil {
		p.idle.Stop()
	}
	p.idle = time.AfterFunc(readyTime, p.drop)
	if !p.filling {
		p.filling = true
		p.work.Go(p.fill)
	}
}

func (p *Pool) fill() {
	time.Sleep(refillPause)
	p.mu.Lock()
	defer p.mu.Unlock()
	defer func() { p.filling = false }()
	for !p.closed && len(p.waiting) < defaultReady {
		c, err := start(context.Background(), p.Self, p.Stderr)
		if err != nil {
			return // the next run starts its own, and says why it cannot
		}
		p.waiting = append(p.waiting, c)
	}
}

// drop ends all that wait.
func (p *Pool) drop() {
	p.mu.Lock()
	all := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, c := range all {
		c.Close() //nolint:errcheck // it had no job
	}
}

// Close ends those that wait, for good; it does not end those with a job.
func (p *Pool) Close() error {
	p.mu.Lock()
	p.closed = true
	if p.idle != nil {
		p.idle.Stop()
	}
	p.mu.Unlock()
	p.work.Wait()
	p.drop()
	return nil
}
