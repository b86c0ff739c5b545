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
// A question that stands for several targets is answered for all of them.
//
// The error wraps ErrNoSuchRequest, ErrStaleNonce, ErrTooEarly or ErrBadAnswer
// where the answer is at fault.
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
	wide   bool   // one target of the answer's own covers all that was asked for
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
	switch {
	case p == nil, p.tooOld(now):
		return nil, outcome{}, fmt.Errorf("%w: %.40q", ErrNoSuchRequest, a.Request)
	case subtle.ConstantTimeCompare([]byte(a.Nonce), []byte(p.prompt.Nonce)) != 1, !p.ready:
		return nil, outcome{}, ErrStaleNonce
	case p.tooEarly(a, now):
		return nil, outcome{}, ErrTooEarly
	}
	a.By = CleanText(a.By)
	o := outcome{answer: a}
	if err := o.plan(p, now); err != nil {
		return nil, outcome{}, fmt.Errorf("%w: %w", ErrBadAnswer, err)
	}
	o.op = op{lines: o.lines(p, now), drop: []string{p.prompt.ID}}
	p.busy = make(chan struct{})
	return p, o, nil
}

// lines are what the ledger says of the answer: one for each target.
func (o *outcome) lines(p *pending, now time.Time) []Line {
	targets := p.targets()
	if o.wide {
		targets = []string{o.rules[0].Target}
	}
	var lines []Line
	for _, target := range targets {
		l := p.prompt.Request.line("answer", now)
		l.Target, l.Request, l.By = target, p.prompt.ID, o.answer.By
		l.Verdict, l.Source = o.answer.Verdict.String(), string(o.answer.Lifetime)
		for _, rule := range o.rules {
			if rule.Verdict == o.answer.Verdict && (rule.Target == target || o.given != "") {
				l.Rule, l.Kind, l.Target = rule.ID, string(rule.Kind), rule.Target
				break
			}
		}
		if p.prompt.Count > len(targets) {
			l.Reason = fmt.Sprintf("for %d requests", p.prompt.Count)
		}
		lines = append(lines, l)
	}
	return lines
}

// plan works out the rules.
func (o *outcome) plan(p *pending, now time.Time) error {
	a, r := o.answer, p.prompt.Request
	if a.Verdict > Allow {
		return fmt.Errorf("verdict %d is not known", a.Verdict)
	}
	targets, err := answerTargets(a, p)
	if err != nil {
		return err
	}
	if o.given, err = answerFields(a, r); err != nil {
		return err
	}
	if o.given != "" {
		targets = []string{o.given}
	}
	if a.Shape != "" && (a.Verdict != Allow || !r.Kind.IsData()) {
		return fmt.Errorf("what is given can be shaped in a yes about data only")
	}
	o.wide = (a.Target != "" || a.Everything) && a.Lifetime != Once
	base := Rule{
		App: r.App.ID(), AppName: r.App.Name, Kind: r.Kind,
		Verdict: a.Verdict, Lifetime: a.Lifetime, Since: now, By: a.By, Shape: a.Shape,
	}
	if a.Everything {
		base.Kind = AnyKind
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
			o.add(base, targets)
		}
	case Timed:
		if a.For <= 0 || a.For > maxTime {
			return fmt.Errorf("time %s is not between 0 and a year", a.For)
		}
		base.Expires = now.Add(a.For)
		o.add(base, targets)
	case Always:
		o.add(base, targets)
	default:
		return fmt.Errorf("lifetime %.20q is not known", a.Lifetime)
	}
	o.withhold(r)
	_, err = NewGrants(o.rules)
	return err
}

// add makes a rule for each target.
func (o *outcome) add(r Rule, targets []string) {
	for _, target := range targets {
		r.ID, r.Target = newRuleID(), target
		o.rules = append(o.rules, r)
	}
}

// planOnce makes no rule, but for what nobody waits for any more: the yes is
// then kept for the next try of exactly that.
func (o *outcome) planOnce(p *pending, base Rule) error {
	if base.Verdict == Deny {
		return nil
	}
	waited := map[string]bool{}
	for w := range p.waiters {
		waited[w.target] = true
	}
	if o.given != "" && len(waited) == 0 {
		return fmt.Errorf("the app does not wait any more: give the fields for a time, or always")
	}
	base.Expires = base.Since.Add(lateOnce)
	for i, target := range p.targets() {
		if waited[target] {
			continue
		}
		base.ID, base.Target = creditID(p.prompt.ID, i), target
		o.rules = append(o.rules, base)
	}
	return nil
}

// creditID is the id of a late one-time yes; requestOf is that of its request.
func creditID(request string, i int) string { return fmt.Sprintf("%s-%d", request, i) }

func requestOf(credit string) string {
	request, _, _ := strings.Cut(credit, "-")
	return request
}

// answerTargets is what the answer is about: all that was asked for, or one
// target that is wider.
func answerTargets(a Answer, p *pending) ([]string, error) {
	switch {
	case a.Everything && (a.Verdict != Deny || a.Lifetime == Once || a.Target != ""):
		return nil, fmt.Errorf("an answer about everything is a no that lasts")
	case a.Everything:
		return []string{"*"}, nil
	case a.Target == "":
		return p.targets(), nil
	}
	r := p.prompt.Request
	wide, err := CanonicalRule(r.Kind, a.Target)
	if err != nil {
		return nil, err
	}
	probe := Rule{ID: "probe", App: r.App.ID(), Kind: r.Kind, Target: wide, Verdict: Allow, Lifetime: Always}
	g, err := NewGrants([]Rule{probe})
	if err != nil {
		return nil, err
	}
	for _, target := range p.targets() {
		r.Target = target
		if d, ok := g.Lookup(r, time.Time{}); !ok || d.Rule != probe.ID {
			return nil, fmt.Errorf("%s does not contain what was asked for, %s", wide, target)
		}
	}
	return []string{wide}, nil
}

// answerFields narrows a yes about data to the fields the user gives; "" if
// that is all that was asked for.
func answerFields(a Answer, r Request) (given string, err error) {
	if len(a.Fields) == 0 {
		return "", nil
	}
	if !r.Kind.IsData() || a.Verdict != Allow || a.Target != "" {
		return "", fmt.Errorf("fields belong to a yes about data")
	}
	given, err = canonicalFields(strings.Join(a.Fields, ","))
	if err != nil {
		return "", err
	}
	asked := strings.Split(r.Target, ",")
	for field := range strings.SplitSeq(given, ",") {
		if !slices.Contains(asked, field) {
			return "", fmt.Errorf("field %s was not asked for", field)
		}
	}
	if given == r.Target {
		return "", nil
	}
	return given, nil
}

// withhold adds the no about the fields that were left out of a yes that lasts.
func (o *outcome) withhold(r Request) {
	if o.given == "" {
		return
	}
	given := strings.Split(o.given, ",")
	rest := slices.DeleteFunc(strings.Split(r.Target, ","), func(f string) bool { return slices.Contains(given, f) })
	for _, rule := range slices.Clone(o.rules) {
		rule.Verdict, rule.Shape = Deny, ""
		o.add(rule, []string{strings.Join(rest, ",")})
	}
}

// settle releases who waits and takes the request out of the inbox. mu is held.
func (e *Engine) settle(p *pending, o outcome) {
	now := e.clock.time()
	id := p.prompt.ID
	p.release(func(w *waiter) Decision {
		d := Decision{Verdict: o.answer.Verdict, Source: FromAnswer, Request: id, Rule: o.ruleFor(w), Shape: o.answer.Shape}
		if o.given != "" { // not all that was asked for: no as a whole, see Decision.Given
			d.Verdict, d.Given = Deny, o.given
		}
		return d
	})
	if o.answer.Verdict == Deny && o.answer.Lifetime == Once {
		e.dismissed(p, now)
		e.remember(p, now)
	} else {
		e.endPauses(p.app)
	}
	p.seen = true // so that remove says that it is settled
	e.remove(p)
	e.next(p.app)
}

// ruleFor is the rule that decided for a waiter, if one did.
func (o *outcome) ruleFor(w *waiter) string {
	for _, r := range o.rules {
		if r.Lifetime != Once && (r.Run == "" || r.Run == w.run) && (o.wide || o.given != "" || r.Target == w.target) {
			return r.ID
		}
	}
	return ""
}
