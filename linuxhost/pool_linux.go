package linuxhost

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// What waits costs memory (two processes each, a launcher and an init), so there
// are few, and none on a machine where nothing was started for a while.
const (
	defaultReady = 2
	readyTime    = 5 * time.Minute
	// refillPause keeps the making of the next out of the way of the start that
	// took the last.
	refillPause = 30 * time.Millisecond
	prepareTime = 30 * time.Second
)

// pool holds launchers whose ground is laid: nothing of an app was ever in one.
// What it has leaves it once, to a Start or to its end.
type pool struct {
	make func(ctx context.Context, idBase uint32) (*prepared, error)
	bury func(*prepared) // removes what a dead one has left
	size int

	mu      sync.Mutex
	ids     sandbox.IDLender // nil keeps the pool empty
	waiting []*prepared
	filling bool
	closed  bool
	idle    *time.Timer
	work    sync.WaitGroup
}

// prepared is one launcher that waits for its run.
type prepared struct {
	launcher *launcherHold
	name     string // of its cgroup
	idBase   uint32
}

func (p *prepared) dead() bool {
	select {
	case <-p.launcher.gone:
		return true
	default:
		return false
	}
}

// take removes the one that has these ids; nil when there is none that lives.
func (p *pool) take(idBase uint32) *prepared {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n, one := range p.waiting {
		if one.idBase != idBase {
			continue
		}
		p.waiting = append(p.waiting[:n:n], p.waiting[n+1:]...)
		p.ids.Return(idBase)
		if one.dead() {
			p.bury(one)
			return nil
		}
		return one
	}
	return nil
}

func (p *pool) ready() []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	var bases []uint32
	for _, one := range p.waiting {
		if !one.dead() {
			bases = append(bases, one.idBase)
		}
	}
	return bases
}

// refill makes the pool full in the background, and empties it when nobody
// asks for a while.
func (p *pool) refill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ids == nil || p.closed {
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

func (p *pool) fill() {
	ctx, cancel := context.WithTimeout(context.Background(), prepareTime)
	defer cancel()
	time.Sleep(refillPause)
	for {
		p.sift()
		p.mu.Lock()
		if p.closed || len(p.waiting) >= p.size {
			p.filling = false
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		one, err := p.next(ctx)
		p.mu.Lock()
		if err != nil { // the next start is as slow as the first
			p.filling = false
			p.mu.Unlock()
			return
		}
		p.waiting = append(p.waiting, one)
		p.mu.Unlock()
	}
}

func (p *pool) next(ctx context.Context) (*prepared, error) {
	base, err := p.ids.Lend()
	if err != nil {
		return nil, err
	}
	one, err := p.make(ctx, base)
	if err != nil {
		p.ids.Return(base)
	}
	return one, err
}

// sift takes out those that have died.
func (p *pool) sift() {
	p.mu.Lock()
	defer p.mu.Unlock()
	var alive []*prepared
	for _, one := range p.waiting {
		if one.dead() {
			p.bury(one)
			p.ids.Return(one.idBase)
			continue
		}
		alive = append(alive, one)
	}
	p.waiting = alive
}

// drop ends all that wait.
func (p *pool) drop() {
	p.mu.Lock()
	all := p.waiting
	p.waiting = nil
	p.mu.Unlock()
	for _, one := range all {
		died := one.dead()
		one.launcher.end()
		if died {
			p.bury(one)
		}
		p.ids.Return(one.idBase)
	}
}

// close ends all, for good.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	if p.idle != nil {
		p.idle.Stop()
	}
	p.mu.Unlock()
	p.work.Wait()
	p.drop()
}

// KeepReady has the host keep a few sandboxes ready from the first start on.
func (h *Host) KeepReady(ids sandbox.IDLender) {
	h.pool.mu.Lock()
	defer h.pool.mu.Unlock()
	h.pool.ids = ids
}

// Ready are the ids for which a sandbox waits.
func (h *Host) Ready() []uint32 { return h.pool.ready() }

// prepare starts a launcher and has it lay the ground for a run.
func (h *Host) prepare(ctx context.Context, idBase uint32) (*prepared, error) {
	raised, _ := h.fence.get(ctx, h.config)
	name := "ready" + strings.ToLower(rand.Text())
	l, err := h.startLauncher(name)
	if err != nil {
		return nil, err
	}
	call := groundCall{Name: name, StateDir: h.config.StateDir, IDBase: idBase, Pins: pinsOf(raised)}
	if _, err := l.peer.Call(ctx, verbGround, call, nil); err != nil {
		h.config.Log.Info("no sandbox can be made ready", "err", err)
		l.end()
		return nil, fmt.Errorf("prepare a sandbox: %w", err)
	}
	return &prepared{launcher: l, name: name, idBase: idBase}, nil
}

// bury removes the cgroup of a launcher that was killed, and who is left in it.
func (h *Host) bury(dead *prepared) {
	trees, err := hierarchies()
	if err == nil {
		err = (&cgroup{trees: trees, path: filepath.Join(stateCgroup(h.config.StateDir), dead.name)}).remove()
	}
	if err != nil { // the next agent's Cleanup does it
		h.config.Log.Warn("a sandbox that was ready has left its cgroup", "err", err)
	}
}
