package consent

import (
	"cmp"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/consentry/consentry/app"
)

var (
	errNoApp       = errors.New("the app has no identity")
	errUncleanName = errors.New("the name of a published app has characters that names do not have")
)

// pending is a request that waits for an answer, live or in the inbox.
//
//	opening ──"ask" on disk──▶ ready, live ──last waiter leaves──▶ ready, in the inbox
//	                             ▲                                   │
//	                             └────── asked again, new nonce ─────┘
//	answered, covered by a new rule, too old, inbox full ──▶ removed
type pending struct {
	prompt  Prompt
	key     askKey
	waiters map[*waiter]struct{}
	runs    map[string]bool // that have asked and still run
	ready   bool            // on disk: may be shown and answered
	busy    chan struct{}   // not nil while an answer is being saved; closed after
}

// waiter is one call of Decide.
type waiter struct {
	p     *pending
	run   string
	opens bool          // this one puts the question
	out   chan Decision // holds one
}

// attach has r wait at the prompt for the same thing, or at a new one. mu is held.
func (e *Engine) attach(r Request, now time.Time) *waiter {
	p := e.find(r.key())
	opens := p == nil || p.ready && len(p.waiters) == 0 && p.busy == nil
	if p == nil {
		p = e.newPending(r, now)
	}
	if opens { // the first, or again after nobody waited any more
		p.ready = false
		p.prompt.Nonce = newNonce()
		p.prompt.Asked = now
	}
	w := &waiter{p: p, run: r.Run, opens: opens, out: make(chan Decision, 1)}
	p.waiters[w] = struct{}{}
	p.runs[r.Run] = true
	p.prompt.Live = true
	p.prompt.Count++
	return w
}

func (e *Engine) newPending(r Request, now time.Time) *pending {
	p := &pending{
		prompt:  Prompt{ID: e.newRequestID(), Asked: now, Request: r},
		key:     r.key(),
		waiters: map[*waiter]struct{}{},
		runs:    map[string]bool{},
	}
	p.prompt.describe()
	e.keep(p)
	return p
}

// keep and find: mu is held.
func (e *Engine) keep(p *pending) {
	e.byID[p.prompt.ID] = p
	if e.byApp[p.key.app] == nil {
		e.byApp[p.key.app] = map[askKey]*pending{}
	}
	e.byApp[p.key.app][p.key] = p
}

func (e *Engine) find(key askKey) *pending { return e.byApp[key.app][key] }

func (e *Engine) newRequestID() string {
	for {
		if id := newID(6); e.byID[id] == nil {
			return id
		}
	}
}

// open puts the question: first on disk, then before the user.
func (e *Engine) open(p *pending) {
	e.mu.Lock()
	r, id, count, asked := p.prompt.Request, p.prompt.ID, p.prompt.Count, p.prompt.Asked
	e.mu.Unlock()
	l := r.line("ask", asked)
	l.Request, l.Reason = id, r.Reason
	err := e.store.commit(op{
		lines: []Line{l},
		put:   &storedPrompt{id, promptBody{Asked: asked, Count: count, Request: r}},
		drop:  e.crowdedOut(p),
	})
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.byID[id] != p { // decided by a new rule meanwhile
		e.dropLater([]string{id})
		return
	}
	if err != nil {
		d := refusal("the question cannot be written down: " + err.Error())
		p.release(func(*waiter) Decision { return d })
		e.remove(p)
		return
	}
	p.ready = true
	if len(p.waiters) > 0 && !e.closed {
		e.emit(Change{Opened: p.copy()})
	}
}

// release decides for all that wait. mu is held.
func (p *pending) release(decide func(*waiter) Decision) {
	for w := range p.waiters {
		w.out <- decide(w)
	}
	clear(p.waiters)
}

// remove forgets the request. mu is held.
func (e *Engine) remove(p *pending) {
	delete(e.byID, p.prompt.ID)
	delete(e.byApp[p.key.app], p.key)
	if len(e.byApp[p.key.app]) == 0 {
		delete(e.byApp, p.key.app)
	}
}

// dropLater takes requests out of the inbox on disk. mu is held; the writer
// needs it not, so that a full queue only costs time.
func (e *Engine) dropLater(ids []string) {
	if len(ids) > 0 && !e.closed {
		e.store.queue(op{drop: ids})
	}
}

// detach lets a waiter go that has waited too long. mu is held.
func (e *Engine) detach(w *waiter) {
	p := w.p
	delete(p.waiters, w)
	if len(p.waiters) == 0 && e.byID[p.prompt.ID] == p {
		p.prompt.Live = false
		if p.ready {
			e.emit(Change{Settled: p.copy()})
		}
	}
}

// copy is the prompt for those outside.
func (p *pending) copy() *Prompt {
	c := p.prompt
	c.Choices = slices.Clone(c.Choices)
	if len(p.runs) == 0 {
		c.Choices = slices.DeleteFunc(c.Choices, func(o Choice) bool { return o.Lifetime == Run })
	}
	return &c
}

// Pending returns the requests that wait for an answer, oldest first: live ones
// and those in the inbox, where they stay for 24 hours, 200 of an app.
func (e *Engine) Pending() []Prompt {
	now := e.clock.time()
	e.mu.Lock()
	var found []Prompt
	var old []string
	for id, p := range e.byID {
		switch {
		case p.tooOld(now):
			e.remove(p)
			old = append(old, id)
		case p.ready:
			found = append(found, *p.copy())
		}
	}
	e.dropLater(old)
	e.mu.Unlock()
	slices.SortFunc(found, func(a, b Prompt) int {
		return cmp.Or(a.Asked.Compare(b.Asked), cmp.Compare(a.ID, b.ID))
	})
	return found
}

func (p *pending) tooOld(now time.Time) bool {
	return len(p.waiters) == 0 && p.ready && p.busy == nil && now.Sub(p.prompt.Asked) > inboxAge
}

// crowdedOut makes room in the inbox of p's app: the oldest that nobody waits
// at go. It returns their ids.
func (e *Engine) crowdedOut(p *pending) []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var resting []*pending
	total := 0
	for _, other := range e.byApp[p.key.app] {
		total++
		if other != p && other.ready && len(other.waiters) == 0 && other.busy == nil {
			resting = append(resting, other)
		}
	}
	slices.SortFunc(resting, func(a, b *pending) int { return a.prompt.Asked.Compare(b.prompt.Asked) })
	var ids []string
	for _, old := range resting[:min(len(resting), max(0, total-maxInbox))] {
		ids = append(ids, old.prompt.ID)
		e.remove(old)
	}
	return ids
}

// sweep settles what the rules now decide. mu is held.
func (e *Engine) sweep() {
	now := e.clock.time()
	var ids []string
	for id, p := range e.byID {
		if p.busy != nil {
			continue // its own answer settles it
		}
		if e.sweepOne(p, now) {
			ids = append(ids, id)
		}
	}
	e.dropLater(ids)
}

// sweepOne looks the request up for each run that asked: a rule may hold for
// one of them only.
func (e *Engine) sweepOne(p *pending, now time.Time) (settled bool) {
	grants := e.grants.Load()
	r := p.prompt.Request
	for w := range p.waiters {
		r.Run = w.run
		if d, ok := grants.Lookup(r, now); ok {
			d.Request = p.prompt.ID
			w.out <- d
			delete(p.waiters, w)
		}
	}
	r.Run = ""
	_, ok := grants.Lookup(r, now)
	if ok {
		e.remove(p)
	}
	if len(p.waiters) == 0 && p.prompt.Live {
		p.prompt.Live = false
		if p.ready {
			e.emit(Change{Settled: p.copy()})
		}
	}
	return ok
}

// endRequests denies what waits for a run that has ended.
func (e *Engine) endRequests(run string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range slices.Collect(maps.Values(e.byID)) {
		delete(p.runs, run)
		for w := range p.waiters {
			if w.run == run && p.busy == nil {
				w.out <- Decision{Source: FromHold, Request: p.prompt.ID, Detail: "the app has ended"}
				e.detach(w)
			}
		}
	}
	maps.DeleteFunc(e.pauses, func(k runKey, _ *pause) bool { return k.run == run })
}

func (e *Engine) endPauses(id app.ID) {
	maps.DeleteFunc(e.pauses, func(k runKey, _ *pause) bool { return k.app == id })
}

// adoptInbox shows the requests of an earlier agent again; nobody waits for them.
func (e *Engine) adoptInbox(found []storedPrompt) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range found {
		r, err := cleanRequest(s.body.Request)
		if err != nil || e.find(r.key()) != nil {
			continue
		}
		p := &pending{
			prompt:  Prompt{ID: s.id, Nonce: newNonce(), Asked: s.body.Asked, Count: s.body.Count, Request: r},
			key:     r.key(),
			waiters: map[*waiter]struct{}{},
			runs:    map[string]bool{},
			ready:   true,
		}
		p.prompt.describe()
		e.keep(p)
	}
}
