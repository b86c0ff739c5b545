package linuxhost

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/consentry/consentry/internal/pool"
	"github.com/consentry/consentry/sandbox"
)

// readySandboxes is how many wait: each is two processes, a launcher and an init.
const readySandboxes = 2

// prepared is a launcher that waits for its run, with the ground laid: nothing
// of an app was ever in it.
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

func (h *Host) newPool() pool.Pool[*prepared] {
	return pool.Pool[*prepared]{Size: readySandboxes, Make: h.prepare, Dead: (*prepared).dead, End: h.discard}
}

// KeepReady has the host keep a few sandboxes ready from the first start on. It
// is called before that.
func (h *Host) KeepReady(ids sandbox.IDLender) { h.ids = ids }

// Ready are the ids for which a sandbox waits.
func (h *Host) Ready() []uint32 {
	var bases []uint32
	for _, one := range h.pool.Waiting() {
		bases = append(bases, one.idBase)
	}
	return bases
}

func (h *Host) refill() {
	if h.ids != nil {
		h.pool.Refill()
	}
}

// takeReady returns the sandbox that waits with these ids, which are the run's
// from now on; nil when none does.
func (h *Host) takeReady(idBase uint32) *prepared {
	one, ok := h.pool.Take(func(p *prepared) bool { return p.idBase == idBase })
	if !ok {
		return nil
	}
	h.ids.Return(idBase)
	return one
}

// prepare starts a launcher and has it lay the ground for a run.
func (h *Host) prepare(ctx context.Context) (*prepared, error) {
	base, err := h.ids.Lend()
	if err != nil {
		return nil, err
	}
	one, err := h.lay(ctx, base)
	if err != nil {
		h.ids.Return(base)
		h.config.Log.Info("no sandbox can be made ready", "err", err)
	}
	return one, err
}

func (h *Host) lay(ctx context.Context, idBase uint32) (*prepared, error) {
	raised, _ := h.fence.get(ctx, h.config)
	name := "ready" + strings.ToLower(rand.Text())
	l, err := h.startLauncher(name, raised)
	if err != nil {
		return nil, err
	}
	call := groundCall{Name: name, StateDir: h.config.StateDir, IDBase: idBase, Fence: h.fenceCall(raised)}
	if _, err := l.peer.Call(ctx, verbGround, call, nil); err != nil {
		l.end()
		return nil, fmt.Errorf("prepare a sandbox: %w", err)
	}
	return &prepared{launcher: l, name: name, idBase: idBase}, nil
}

// discard ends one that nobody took, or buries one that has died.
func (h *Host) discard(one *prepared) {
	died := one.dead()
	one.launcher.end()
	if died {
		h.bury(one)
	}
	h.ids.Return(one.idBase)
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
