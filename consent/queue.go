package consent

import (
	"cmp"
	"slices"
	"time"

	"github.com/consentry/consentry/app"
)

// deadTime is how long a question takes no answer from a button after it was
// shown: a click or an Enter that was meant for something else must not be one.
const deadTime = time.Second

// present shows a question that is on disk and waited at, or has it wait behind
// the one of the same app that is shown. mu is held.
func (e *Engine) present(p *pending, now time.Time) {
	if shown := e.shown[p.app]; shown != nil && shown != p {
		p.prompt.Queued = true
		e.recount(shown)
		return
	}
	e.show(p, now)
}

func (e *Engine) show(p *pending, now time.Time) {
	e.shown[p.app] = p
	p.prompt.Queued, p.seen = false, true
	p.prompt.NotBefore = now.Add(deadTime)
	p.prompt.Behind = len(e.queue(p.app))
	e.emit(Change{Opened: p.copy()})
}

// recount says anew how many wait behind a question. mu is held.
func (e *Engine) recount(p *pending) {
	behind := len(e.queue(p.app))
	if behind == p.prompt.Behind || !p.ready {
		return
	}
	p.prompt.Behind = behind
	e.emit(Change{Opened: p.copy()})
}

// queue is what waits to be shown, oldest first. mu is held.
func (e *Engine) queue(id app.ID) []*pending {
	var waiting []*pending
	for key, p := range e.byApp[id] {
		if key.target == p.prompt.Request.Target && p.prompt.Queued && p.ready && len(p.waiters) > 0 {
			waiting = append(waiting, p)
		}
	}
	slices.SortFunc(waiting, func(a, b *pending) int {
		return cmp.Or(a.prompt.Asked.Compare(b.prompt.Asked), cmp.Compare(a.prompt.ID, b.prompt.ID))
	})
	return waiting
}

// leave takes a question from the screen because nobody waits at it any more.
// next shows what comes after it. mu is held.
func (e *Engine) leave(p *pending) {
	announced := p.seen || p.prompt.Live && p.ready
	p.prompt.Live, p.prompt.Queued, p.seen = false, false, false
	if e.shown[p.app] == p {
		delete(e.shown, p.app)
	}
	if announced {
		e.emit(Change{Settled: p.copy()})
	}
}

// next shows the oldest question of an app that has none on the screen. mu is held.
func (e *Engine) next(id app.ID) {
	if shown := e.shown[id]; shown != nil {
		e.recount(shown)
		return
	}
	if waiting := e.queue(id); len(waiting) > 0 {
		e.show(waiting[0], e.clock.time())
	}
}

// commanded says whether an answer was given by a command that names the
// request by its id. Nobody types that by accident, so it may come at once; an
// answer from anywhere else is taken for that of a button.
func commanded(by string) bool { return by == "cli" }

// tooEarly says whether a button was pressed before it could be meant.
func (p *pending) tooEarly(a Answer, now time.Time) bool {
	if commanded(a.By) || !p.prompt.Live {
		return false
	}
	return p.prompt.Queued || now.Before(p.prompt.NotBefore)
}
