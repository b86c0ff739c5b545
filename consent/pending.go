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
	errWallIsAsked = errors.New("no app can ask to run without a wall")
	errUncleanName = errors.New("the name of a published app has characters that names do not have")
)

// pending is a request that waits for an answer, live or in the inbox.
//
//	opening ──"ask" on disk──▶ ready, live ──last waiter leaves──▶ ready, in the inbox
//	                             ▲                                   │
//	                             └────── asked again, new nonce ─────┘
//	answered, covered by a new rule, too old, inbox full ──▶ removed
//
// Of an app's live ones one is shown; the others are queued (queue.go).
type pending struct {
	prompt  Prompt
	app     app.ID
	site    string
	waiters map[*waiter]struct{}
	runs    map[string]bool // that have asked and still run
	ready   bool            // on disk: may be shown and answered
	seen    bool            // Opened was emitted, and Settled not yet
	version int             // of what it asks for: only the latest on disk makes it ready
	busy    chan struct{}   // not nil while an answer is being saved; closed after
}

// waiter is one call of Decide.
type waiter struct {
	p      *pending
	run    string
	target string
	opens  bool          // this one puts the question
	out    chan Decision // holds one
}

// attach has r wait at the prompt for the same thing, at one for the same site
// that is being put right now, or at a new one. mu is held.
func (e *Engine) attach(r Request, now time.Time) *waiter {
	p := e.find(r.key())
	opens := p == nil || p.ready && len(p.waiters) == 0 && p.busy == nil
	if p == nil {
		if p = e.siteMate(r, now); p != nil {
			e.widen(p, r)
		} else {
			p = e.newPending(r, now)
		}
	} else if opens { // again, after nobody waited any more
		p.prompt.Nonce = newNonce()
		p.prompt.Asked = now
	}
	if opens {
		p.ready = false
		p.version++
	}
	w := &waiter{p: p, run: r.Run, target: r.Target, opens: opens, out: make(chan Decision, 1)}
	p.waiters[w] = struct{}{}
	p.runs[r.Run] = true
	p.prompt.Live = true
	p.prompt.Count++
	return w
}

func (e *Engine) newPending(r Request, now time.Time) *pending {
	p := e.pendingOf(Prompt{ID: e.newRequestID(), Nonce: newNonce(), Asked: now, Request: r})
	e.keep(p)
	return p
}

func (e *Engine) pendingOf(prompt Prompt) *pending {
	p := &pending{
		prompt:  prompt,
		app:     prompt.Request.App.ID(),
		site:    site(prompt.Request),
		waiters: map[*waiter]struct{}{},
		runs:    map[string]bool{},
	}
	name := prompt.Request.App.Name
	p.prompt.LooksLike = e.looksLike(p.app, name)
	e.meet(p.app, name)
	p.prompt.describe()
	return p
}

// keep and find: mu is held.
func (e *Engine) keep(p *pending) {
	e.byID[p.prompt.ID] = p
	if e.byApp[p.app] == nil {
		e.byApp[p.app] = map[askKey]*pending{}
	}
	for _, target := range p.targets() {
		e.byApp[p.app][askKey{p.app, p.prompt.Request.Kind, target}] = p
	}
}

func (e *Engine) find(key askKey) *pending { return e.byApp[key.app][key] }

func (e *Engine) newRequestID() string {
	for {
		if id := newID(6); e.byID[id] == nil {
			return id
		}
	}
}

// open puts the question that w was the first to ask: first on disk, then
// before the user.
func (e *Engine) open(w *waiter) {
	p := w.p
	e.mu.Lock()
	id, version := p.prompt.ID, p.version
	body := promptBody{Asked: p.prompt.Asked, Count: p.prompt.Count, Request: p.prompt.Request, Also: p.prompt.Also}
	l := p.prompt.Request.line("ask", e.clock.time())
	l.Target, l.Run, l.Request, l.Reason = w.target, w.run, id, p.prompt.Reason
	e.mu.Unlock()
	err := e.store.commit(op{lines: []Line{l}, put: &storedPrompt{id, body}, drop: e.crowdedOut(p)})
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case e.byID[id] != p: // decided by a new rule meanwhile
		e.dropLater([]string{id})
	case err != nil:
		d := refusal("the question cannot be written down: " + err.Error())
		p.release(func(*waiter) Decision { return d })
		e.remove(p)
		e.next(p.app)
	case version != p.version: // it asks for more by now, and is put again
	default:
		p.ready = true
		if len(p.waiters) > 0 && !e.closed {
			e.present(p, e.clock.time())
		}
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
	for _, target := range p.targets() {
		delete(e.byApp[p.app], askKey{p.app, p.prompt.Request.Kind, target})
	}
	if len(e.byApp[p.app]) == 0 {
		delete(e.byApp, p.app)
	}
	e.leave(p)
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
		e.leave(p)
		e.next(p.app)
	}
}

// copy is the prompt for those outside.
func (p *pending) copy() *Prompt {
	c := p.prompt
	c.Choices = slices.Clone(c.Choices)
	c.Also = slices.Clone(c.Also)
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
	for key, other := range e.byApp[p.app] {
		if key.target != other.prompt.Request.Target {
			continue // another target of the same question
		}
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
	apps := map[app.ID]bool{}
	for id, p := range e.byID {
		if p.busy != nil {
			continue // its own answer settles it
		}
		if e.sweepOne(p, now) {
			ids = append(ids, id)
		}
		apps[p.app] = true
	}
	for id := range apps { // only now: what was swept need not be shown first
		e.next(id)
	}
	e.dropLater(ids)
}

// sweepOne looks each thing up for each run that asked: a rule may hold for one
// of them only.
func (e *Engine) sweepOne(p *pending, now time.Time) (settled bool) {
	grants := e.grants.Load()
	r := p.prompt.Request
	for w := range p.waiters {
		r.Run, r.Target = w.run, w.target
		if d, ok := grants.Lookup(r, now); ok {
			d.Request = p.prompt.ID
			w.out <- d
			delete(p.waiters, w)
		}
	}
	r.Run = ""
	open := slices.DeleteFunc(p.targets(), func(target string) bool {
		r.Target = target
		_, decided := grants.Lookup(r, now)
		return decided
	})
	switch {
	case len(open) == 0:
		e.remove(p)
		return true
	case len(open) < len(p.targets()):
		e.narrow(p, open)
		if e.shown[p.app] == p && p.ready && len(p.waiters) > 0 {
			e.emit(Change{Opened: p.copy()})
		}
	}
	if len(p.waiters) == 0 && p.prompt.Live {
		e.leave(p)
	}
	return false
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
		p := e.pendingOf(Prompt{
			ID: s.id, Nonce: newNonce(), Asked: s.body.Asked, Count: s.body.Count, Request: r, Also: also(r, s.body.Also),
		})
		p.ready = true
		e.keep(p)
	}
	e.sweep() // what was decided since
}

// also keeps what is canonical; the body was sealed by us, perhaps by an
// earlier version with other forms.
func also(r Request, targets []string) []string {
	return slices.DeleteFunc(slices.Clone(targets), func(target string) bool {
		text, err := Canonical(r.Kind, target)
		return err != nil || text != target
	})
}
