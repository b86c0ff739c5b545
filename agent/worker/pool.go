package worker

import (
	"context"
	"io"
	"os/exec"
	"sync"

	"github.com/consentry/consentry/internal/pool"
	"github.com/consentry/consentry/sandbox"
)

// readyWorkers is how many wait: each costs memory.
const readyWorkers = 2

// Waits is what a worker does that waits for a job, as its argument.
type Waits string

const (
	// Warm has run a module of ours.
	Warm Waits = "warm"
	// Confined is behind the walls of a router already, and can be nothing else.
	Confined Waits = "confined"
)

// Pool keeps workers that have no job yet: nothing of an app was ever in one,
// and until it gets its job all that it asks is refused. The zero Pool with Self
// set is ready for use.
type Pool struct {
	Self   string    // the program to run as a worker
	Stderr io.Writer // takes the workers' own logs
	// Waits is what those do that wait: Warm for modules, Confined for routers, or
	// nothing.
	Waits Waits

	once  sync.Once
	ready pool.Pool[*Client]
}

func (p *Pool) waiting() *pool.Pool[*Client] {
	p.once.Do(func() {
		p.ready.Size = readyWorkers
		p.ready.Make = func(ctx context.Context) (*Client, error) { return p.start(ctx, p.waits()...) }
		p.ready.Dead = (*Client).gone
		p.ready.End = func(c *Client) {
			c.Close() //nolint:errcheck // it had no job
		}
	})
	return &p.ready
}

// waits are the arguments of a worker that is to wait.
func (p *Pool) waits() []string {
	if p.Waits == "" {
		return nil
	}
	return []string{string(p.Waits)}
}

func (p *Pool) start(ctx context.Context, args ...string) (*Client, error) {
	begin := startCalm
	if p.Waits == Warm {
		begin = (*exec.Cmd).Start
	}
	return start(ctx, p.Self, p.Stderr, begin, args...)
}

// Get returns a worker whose questions broker answers: one that waited, or a
// new one.
func (p *Pool) Get(ctx context.Context, broker sandbox.Broker) (*Client, error) {
	defer p.waiting().Refill()
	c, ok := p.waiting().Take(func(*Client) bool { return true })
	if !ok {
		var err error
		if c, err = p.start(ctx); err != nil {
			return nil, err
		}
	}
	c.serve(broker)
	return c, nil
}

// Close ends those that wait, for good; it does not end those with a job.
func (p *Pool) Close() error {
	p.waiting().Close()
	return nil
}
