package consent

import (
	"context"
	"slices"
	"strings"
	"time"
)

// Ask says how a request may be asked about.
type Ask struct {
	Hold    time.Duration // how long to wait for an answer; 0: the engine's
	NoInput bool          // never ask: what is not granted is denied at once
	Learn   bool          // the same, and all that is asked for is recorded: see Engine.Learned
}

// Decide answers a request: by a rule if there is one, else by asking the user
// and waiting until there is an answer, the hold time is over or ctx ends. It
// returns Deny for everything that is not a clear yes.
//
//	canonical? ─no─▶ fault
//	    │
//	store sound, ledger writable? ─no─▶ fault
//	    │
//	rule? ─▶ its verdict          late one-time yes? ─▶ spent, on disk: yes
//	    │
//	learning? ─▶ written down, deny
//	    │
//	denied a moment ago? ─▶ deny  no-input? ─▶ deny   flood, pause? ─▶ deny
//	    │
//	"ask" line and inbox on disk ─▶ prompt ─▶ answer │ hold over │ ctx ended
func (e *Engine) Decide(ctx context.Context, r Request, ask Ask) Decision {
	clean, err := cleanRequest(r)
	if err == nil && r.Kind == WallWaive {
		err = errWallIsAsked
	}
	if err == nil {
		err = e.Health()
	}
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return e.refuse(clean, refusal(err.Error()))
	}
	hold := ask.Hold
	if hold <= 0 {
		hold = e.cfg.Hold
	}
	out := e.join(clean, ask)
	for out.busy != nil { // the same request is being answered right now
		<-out.busy
		out = e.join(clean, ask)
	}
	switch {
	case out.credit != nil:
		return e.spend(ctx, clean, ask, *out.credit)
	case out.waiter == nil && out.decision.Verdict == Allow:
		return out.decision
	case out.waiter == nil:
		return e.refuse(clean, out.decision)
	}
	if out.waiter.opens {
		e.open(out.waiter)
	}
	return e.await(ctx, out.waiter, hold)
}

// cleanRequest makes the request fit to be compared, shown and kept. A
// published app is known by its name, so that name must be clean as it is.
func cleanRequest(r Request) (Request, error) {
	target, err := Canonical(r.Kind, r.Target)
	name := CleanName(r.App.Name)
	switch {
	case err != nil:
	case r.App.ID() == "":
		err = errNoApp
	case r.App.Publisher != "" && name != r.App.Name:
		err = errUncleanName
	}
	if err == nil {
		r.Target = target
	} else {
		r.Target = CleanText(r.Target)
		r.Kind = Kind(CleanText(string(r.Kind)))
	}
	r.Reason = CleanText(r.Reason)
	r.App.Name, r.App.Manifest = name, nil
	return r, err
}

// joined is what a request met: a decision, a credit to spend, or a prompt to
// wait at.
type joined struct {
	decision Decision
	credit   *Rule
	waiter   *waiter
	busy     <-chan struct{}
}

// join looks the request up and, if nothing decides it, has it wait. Both are
// one step under mu, so that an answer given in between is not missed.
func (e *Engine) join(r Request, ask Ask) joined {
	now := e.clock.time()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return joined{decision: refusal(errClosed.Error())}
	}
	d, ok := e.grants.Load().Lookup(r, now)
	if ask.Learn {
		e.lessons.note(r, d.Verdict)
	}
	switch {
	case ok:
		return joined{decision: d}
	case ask.Learn:
		return joined{decision: Decision{Source: FromLearn, Detail: grantCommand(r)}}
	}
	if p := e.find(r.key()); p != nil && p.busy != nil {
		return joined{busy: p.busy}
	}
	if credit, ok := e.credits[r.key()]; ok {
		delete(e.credits, r.key())
		if now.Before(credit.Expires) {
			return joined{credit: &credit}
		}
	}
	if d, said := e.echoed(r, now); said {
		return joined{decision: d}
	}
	if ask.NoInput {
		return joined{decision: Decision{Source: FromNoInput, Detail: grantCommand(r)}}
	}
	if d, flood := e.flood(r, now); flood {
		return joined{decision: d}
	}
	return joined{waiter: e.attach(r, now)}
}

// grantCommand is what would grant the request, to be pasted into a shell.
func grantCommand(r Request) string {
	return strings.Join([]string{
		"consentry allow", shellWord(r.App.Name), shellWord(string(r.Kind)), shellWord(r.Target),
	}, " ")
}

func shellWord(text string) string {
	plain := func(r rune) bool {
		return r < 0x80 && (isLowerAlnum(byte(r)) || r >= 'A' && r <= 'Z' || strings.ContainsRune("._/:@,-", r))
	}
	if text != "" && strings.TrimLeftFunc(text, plain) == "" {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// spend uses up a late one-time yes: gone from disk before the app is released.
func (e *Engine) spend(ctx context.Context, r Request, ask Ask, credit Rule) Decision {
	now := e.clock.time()
	l := r.line("answer", now)
	l.Verdict, l.Source, l.Request, l.By = Allow.String(), string(Once), requestOf(credit.ID), credit.By
	l.Reason = "the answer given late counts now"
	spent := func(rule Rule) bool { return rule.ID == credit.ID }
	e.ruleMu.Lock()
	e.mu.Lock()
	there := slices.ContainsFunc(e.rules, spent)
	e.mu.Unlock()
	if !there { // taken back, or spent by another call, in the meantime
		e.ruleMu.Unlock()
		return e.Decide(ctx, r, ask)
	}
	err := e.change(spent, nil, &op{lines: []Line{l}})
	e.ruleMu.Unlock()
	if err != nil {
		return e.refuse(r, refusal(err.Error()))
	}
	return Decision{Verdict: Allow, Source: FromAnswer, Request: requestOf(credit.ID), Shape: credit.Shape}
}

// await waits for the end of the request. While an answer is being written the
// hold time does not end it: the answer would be confirmed to the user and lost.
func (e *Engine) await(ctx context.Context, w *waiter, hold time.Duration) Decision {
	timer := time.NewTimer(hold)
	defer timer.Stop()
	detail := "nobody answered; the request stays in the inbox"
	select {
	case d := <-w.out:
		return d
	case <-timer.C:
	case <-ctx.Done():
		detail = "the app gave up waiting; the request stays in the inbox"
	}
	for {
		e.mu.Lock()
		busy := w.p.busy
		if busy == nil {
			break
		}
		e.mu.Unlock()
		<-busy
	}
	select {
	case d := <-w.out: // decided in the same moment
		e.mu.Unlock()
		return d
	default:
	}
	d := Decision{Source: FromHold, Request: w.p.prompt.ID, Detail: detail}
	l := w.p.prompt.Request.line("hold", e.clock.time())
	e.detach(w)
	e.mu.Unlock()
	l.Run, l.Target = w.run, w.target
	l.Verdict, l.Source, l.Request, l.Reason = Deny.String(), string(FromHold), d.Request, detail
	e.store.queue(op{lines: []Line{l}})
	return d
}

// refuse writes a no that nobody was asked about down, and returns it.
func (e *Engine) refuse(r Request, d Decision) Decision {
	now := e.clock.time()
	l := r.line("deny", now)
	l.Verdict, l.Source, l.Rule, l.Reason = Deny.String(), string(d.Source), d.Rule, d.Detail
	if d.Source == FromNoInput || d.Source == FromLearn {
		l.Reason = ""
	}
	if d.Source == FromFault && e.store == nil {
		e.log.Error("consent: denied", "app", r.App.Name, "kind", r.Kind, "target", r.Target, "why", d.Detail)
		return d
	}
	e.mu.Lock()
	write := e.worthALine(&l, now) && !e.closed
	e.mu.Unlock()
	if write {
		e.store.queue(op{lines: []Line{l}})
	}
	return d
}
