package worker

import (
	"context"
	"errors"
	"os"
	"slices"
	"sync"

	"github.com/consentry/consentry/internal/pool"
	"github.com/consentry/consentry/sandbox"
)

const (
	// readyModules is how many modules wait loaded, those that ran last: each is
	// a process.
	readyModules = 2
	// maxReadyModule is the largest, in bytes: code takes several times as much
	// memory.
	maxReadyModule = 8 << 20
)

// loadedPool keeps workers that have loaded the modules which ran last, each
// for one more run of the same module with the same limit of memory and without
// folders. They are confined as a run of it is, have executed nothing of it, and
// what they ask is refused. The zero loadedPool is ready for use.
type loadedPool struct {
	once  sync.Once
	ready pool.Pool[*Client]

	mu     sync.Mutex
	recent []loadJob // newest first
}

var errNoModule = errors.New("no module is to be loaded")

// ran says that a run of spec was made. One more of it waits from now on, made by
// the program of workers.
func (p *loadedPool) ran(workers *Pool, spec sandbox.Spec) {
	info, err := os.Stat(spec.Module.Path)
	if err != nil || info.Size() > maxReadyModule {
		return
	}
	job := loadJobOf(spec)
	p.mu.Lock()
	p.recent = slices.DeleteFunc(p.recent, job.same)
	p.recent = append([]loadJob{job}, p.recent...)
	p.recent = p.recent[:min(len(p.recent), readyModules)]
	p.mu.Unlock()
	p.once.Do(func() {
		p.ready.Size = readyModules
		p.ready.Make = func(ctx context.Context) (*Client, error) { return p.load(ctx, workers) }
		p.ready.Dead = func(c *Client) bool { return c.gone() || !p.isRecent(c.load) }
		p.ready.End = func(c *Client) {
			c.Close() //nolint:errcheck // it had no run
		}
	})
	p.ready.Refill()
}

// take returns a worker that has loaded the module of spec, if one waits.
func (p *loadedPool) take(spec sandbox.Spec) (*Client, bool) {
	p.mu.Lock()
	none := len(p.recent) == 0
	p.mu.Unlock()
	if none {
		return nil, false
	}
	return p.ready.Take(func(c *Client) bool { return c.load.fits(spec) })
}

func (p *loadedPool) isRecent(job loadJob) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.recent, job.same)
}

// load makes a worker with the newest module for which none waits.
func (p *loadedPool) load(ctx context.Context, workers *Pool) (*Client, error) {
	p.mu.Lock()
	wanted := slices.Clone(p.recent)
	p.mu.Unlock()
	for _, c := range p.ready.Waiting() {
		wanted = slices.DeleteFunc(wanted, c.load.same)
	}
	if len(wanted) == 0 {
		return nil, errNoModule
	}
	c, err := workers.start(ctx, workers.waits()...)
	if err != nil {
		return nil, err
	}
	if _, err := c.peer.Call(ctx, verbLoad, wanted[0], nil); err != nil {
		return nil, c.explain(err)
	}
	c.load = wanted[0]
	return c, nil
}

func (p *loadedPool) close() { p.ready.Close() }
