package consent

import (
	"context"
	"crypto/subtle"
	"fmt"
	"slices"
	"strings"
	"time"
)

// lateOnce is how long a one-time yes, given after the hold time, waits for the
// same request to come again.
const lateOnce = 10 * time.Minute

// Answer says what the user wants. It is on disk before any app is released and
// before Answer returns nil; after an error nothing has changed.
//
// If the app still waits, it goes on now. If not: an answer that lasts is a
// rule from now on, and a one-time yes counts for the next identical request
// within ten minutes.
//
// The error wraps ErrNoSuchRequest, ErrStaleNonce or ErrBadAnswer where the
// answer is at fault.
func (e *Engine) Answer(ctx context.Context, a Answer) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	e.ruleMu.Lock() // one answer at a time
	defer e.ruleMu.Unlock()
	p, o, err := e.weigh(a)
	if err != nil {
		return err
	}
	if len(o.rules) > 0 {
		err = e.change(none, o.rules, &o.op)
	} else {
		err = e.store.commit(o.op)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	close(p.busy)
	p.busy = nil
	if err != nil {
		return fmt.Errorf("save answer: %w", err)
	}
	e.settle(p, o)
	return nil
}

// outcome is what an answer leads to.
type outcome struct {
	answer Answer
	rules  []Rule
	given  string // data: the fields, if they are fewer than were asked for
	op     op
}

// weigh checks the answer, works out what it leads to, and keeps the request as
// it is until that is done.
func (e *Engine) weigh(a Answer) (*pending, outcome, error) {
	now := e.clock.time()
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.byID[a.Request]
	if p == nil || !p.ready || p.tooOld(now) {
		return nil, outcome{}, fmt.Errorf("%w: %.40q", ErrNoSuchRequest, a.Request)
	}
	if subtle.ConstantTimeCompare([]byte(a.Nonce), []byte(p.prompt.Nonce)) != 1 {
		return nil, outcome{}, ErrStaleNonce
	}
	a.By = CleanText(a.By)
	o := outcome{answer: a}
	if err := o.plan(p, now); err != nil {
		return nil, outcome{}, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	l := p.prompt.Request.line("answer", now)
	l.Verdict, l.Source, l.Request, l.By = a.Verdict.String(), string(a.Lifetime), p.prompt.ID, a.By
	if len(o.rules) > 0 {
		l.Rule, l.Target = o.rules[0].ID, o.rules[0].Target
	}
	if p.prompt.Count > 1 {
		l.Reason = fmt.Sprintf("for %d requests", p.prompt.Count)
	}
	o.op = op{lines: []Line{l}, drop: []string{p.prompt.ID}}
	p.busy = make(chan struct{})
	return p, o, nil
}

// plan works out the rules.
func (o *outcome) plan(p *pending, now time.Time) error {
	a, r := o.answer, p.prompt.Request
	if a.Verdict > Allow {
		return fmt.Errorf("verdict %d is not known", a.Verdict)
	}
	target, err := answerTarget(a, r)
	if err != nil {
		return err
	}
	if target, o.given, err = answerFields(a, r, target); err != nil {
		return err
	}
	base := Rule{
		App: r.App.ID(), AppName: r.App.Name, Kind: r.Kind, Target: target,
		Verdict: a.Verdict, Lifetime: a.Lifetime, Since: now, By: a.By,
	}
	switch a.Lifetime {
	case Once:
		return o.planOnce(p, base)
	case Run:
		if len(p.runs) == 0 {
			return fmt.Errorf("no run of the app is left that the answer could last for")
		}
		for run := range p.runs {
			base.Run = run
			o.add(base)
		}
	case Timed:
		if a.For <= 0 || a.For > maxTime {
			return fmt.Errorf("time %s is not between 0 and a year", a.For)
		}
		base.Expires = now.Add(a.For)
		o.add(base)
	case Always:
		o.add(base)
	default:
		return fmt.Errorf("lifetime %.20q is not known", a.Lifetime)
	}
	o.withhold(r)
	_, err = NewGrants(o.rules)
	return err
}

func (o *outcome) add(r Rule) {
	r.ID = newRuleID()
	o.rules = append(o.rules, r)
}

// planOnce makes no rule, but for a request that nobody waits for any more: the
// yes is then kept for the next try.
func (o *outcome) planOnce(p *pending, base Rule) error {
	if base.Verdict == Deny || len(p.waiters) > 0 {
		return nil
	}
	if o.given != "" {
		return fmt.Errorf("the app does not wait any more: give the fields for a time, or always")
	}
	base.ID = p.prompt.ID
	base.Target = p.prompt.Request.Target
	base.Expires = base.Since.Add(lateOnce)
	o.rules = append(o.rules, base)
	return nil
}

// answerTarget is what the answer is about: the request's target, or a wider one.
func answerTarget(a Answer, r Request) (string, error) {
	if a.Target == "" {
		return r.Target, nil
	}
	target, err := CanonicalRule(r.Kind, a.Target)
	if err != nil {
		return "", err
	}
	probe := Rule{ID: "probe", App: r.App.ID(), Kind: r.Kind, Target: target, Verdict: Allow, Lifetime: Always}
	g, err := NewGrants([]Rule{probe})
	if err != nil {
		return "", err
	}
	if d, ok := g.Lookup(r, time.Time{}); !ok || d.Rule != probe.ID {
		return "", fmt.Errorf("%s does not contain what was asked for, %s", target, r.Target)
	}
	return target, nil
}

// answerFields narrows a yes about data to the fields the user gives. given is
// "" if that is all that was asked for.
func answerFields(a Answer, r Request, target string) (narrowed, given string, err error) {
	if len(a.Fields) == 0 {
		return target, "", nil
	}
	if !r.Kind.IsData() || a.Verdict != Allow || a.Target != "" {
		return "", "", fmt.Errorf("fields belong to a yes about data")
	}
	given, err = canonicalFields(strings.Join(a.Fields, ","))
	if err != nil {
		return "", "", err
	}
	asked := strings.Split(r.Target, ",")
	for field := range strings.SplitSeq(given, ",") {
		if !slices.Contains(asked, field) {
			return "", "", fmt.Errorf("field %s was not asked for", field)
		}
	}
	if given == r.Target {
		return target, "", nil
	}
	return given, given, nil
}

// withhold adds the no about the fields that were left out of a yes that lasts.
func (o *outcome) withhold(r Request) {
	if o.given == "" {
		return
	}
	given := strings.Split(o.given, ",")
	rest := slices.DeleteFunc(strings.Split(r.Target, ","), func(f string) bool { return slices.Contains(given, f) })
	for _, rule := range slices.Clone(o.rules) {
		rule.Verdict, rule.Target = Deny, strings.Join(rest, ",")
		o.add(rule)
	}
}

// settle releases who waits and takes the request out of the inbox. mu is held.
func (e *Engine) settle(p *pending, o outcome) {
	id := p.prompt.ID
	p.release(func(w *waiter) Decision {
		d := Decision{Verdict: o.answer.Verdict, Source: FromAnswer, Request: id, Rule: o.ruleFor(w.run)}
		if o.given != "" { // not all that was asked for: no as a whole, see Decision.Given
			d.Verdict, d.Given = Deny, o.given
		}
		return d
	})
	if o.answer.Verdict == Deny && o.answer.Lifetime == Once {
		e.dismissed(p, e.clock.time())
	} else {
		e.endPauses(p.key.app)
	}
	p.prompt.Live = false
	e.remove(p)
	e.emit(Change{Settled: p.copy()})
}

func (o *outcome) ruleFor(run string) string {
	for _, r := range o.rules {
		if r.Lifetime != Once && (r.Run == "" || r.Run == run) {
			return r.ID
		}
	}
	return ""
}
