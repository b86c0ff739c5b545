package consent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/consentry/consentry/app"
)

// Selector chooses rules to take back: by ID, all of an app, or all there are.
// Exactly one of them is set.
type Selector struct {
	ID  string
	App app.ID
	All bool
}

func (s Selector) count() int {
	n := 0
	for _, set := range []bool{s.ID != "", s.App != "", s.All} {
		if set {
			n++
		}
	}
	return n
}

func (s Selector) selects(r Rule) bool {
	return s.All || s.ID != "" && r.ID == s.ID || s.App != "" && r.App == s.App
}

const maxTime = 366 * 24 * time.Hour

// Rules returns the rules of an app, or all with "", oldest first. Expired ones
// are not among them.
func (e *Engine) Rules(id app.ID) []Rule {
	now := e.clock.time()
	e.mu.Lock()
	defer e.mu.Unlock()
	var found []Rule
	for _, r := range e.rules {
		if r.Lifetime == Once || id != "" && r.App != id || e.expired(r) {
			continue
		}
		u := e.uses[r.ID]
		r.Used, r.Uses = fromNano(u.used), u.uses
		r.Lapses = e.lapse(&r, now)
		found = append(found, r)
	}
	slices.SortStableFunc(found, func(a, b Rule) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return found
}

// Allow gives a rule that nobody asked for; by its verdict it is a yes or a no.
// See Give.
func (e *Engine) Allow(ctx context.Context, r Rule) (Rule, error) {
	given, err := e.Give(ctx, []Rule{r})
	if err != nil {
		return Rule{}, err
	}
	return given[0], nil
}

func newRuleID() string { return newID(8) }

func none(Rule) bool { return false }

// Revoke takes rules back, yes and no alike, and with them late one-time
// answers that wait for their request. It returns the rules taken.
func (e *Engine) Revoke(ctx context.Context, s Selector) ([]Rule, error) {
	if err := e.ready(ctx); err != nil {
		return nil, err
	}
	if s.count() != 1 {
		return nil, fmt.Errorf("%w: name one rule, one app, or all", ErrNoSuchRule)
	}
	e.ruleMu.Lock()
	defer e.ruleMu.Unlock()
	var taken []Rule
	var lines []Line
	now := e.clock.time()
	e.mu.Lock()
	for _, r := range e.rules {
		if s.selects(r) {
			taken = append(taken, r)
			lines = append(lines, r.line("revoke", now))
		}
	}
	e.mu.Unlock()
	if len(taken) == 0 {
		if s.ID != "" {
			return nil, fmt.Errorf("%w: %.40q", ErrNoSuchRule, s.ID)
		}
		return nil, nil
	}
	if err := e.change(s.selects, nil, &op{lines: lines}); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(taken, func(r Rule) bool { return r.Lifetime == Once }), nil
}

// ready says whether rules can change at all.
func (e *Engine) ready(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.fault != nil {
		return e.fault
	}
	return nil
}

// change takes rules away, adds rules, and does what o says, all in one: on
// disk, then in memory. ruleMu is held. If there is nothing to do it does nothing.
func (e *Engine) change(gone func(Rule) bool, add []Rule, o *op) error {
	e.mu.Lock()
	idle := o == nil && len(add) == 0 && !slices.ContainsFunc(e.rules, gone)
	e.mu.Unlock()
	if idle {
		return e.use(nil, nil, nil)
	}
	return e.changeAlways(gone, add, o)
}

func (e *Engine) changeAlways(gone func(Rule) bool, add []Rule, o *op) error {
	e.mu.Lock()
	now := e.clock.time()
	rules := e.stamped(e.rules)
	next, removed := replaceRules(rules, func(r Rule) bool { return gone(r) || r.over(now) }, e.stamped(add))
	e.mu.Unlock()
	if len(next) > maxRules {
		return fmt.Errorf("more than %d rules; take some back first", maxRules)
	}
	grants, err := NewGrants(slices.DeleteFunc(slices.Clone(next), func(r Rule) bool { return r.Lifetime == Once }))
	if err != nil {
		return err
	}
	var full op
	if o != nil {
		full = *o
	}
	full.lines = append(slices.Clone(full.lines), lapsed(rules, now)...)
	full.rules = &ruleChange{remove: removed, add: add, all: next, high: toNano(e.clock.time())}
	if err := e.store.commit(full); err != nil {
		return fmt.Errorf("save rules: %w", err)
	}
	return e.use(next, grants, removed)
}

// replaceRules: a new rule takes the place of one for the same thing.
func replaceRules(rules []Rule, gone func(Rule) bool, add []Rule) (next []Rule, removed []string) {
	replaced := map[Rule]bool{}
	for _, r := range add {
		replaced[r.scope()] = true
	}
	for _, r := range rules {
		if gone(r) || replaced[r.scope()] {
			removed = append(removed, r.ID)
		} else {
			next = append(next, r)
		}
	}
	return append(next, add...), removed
}

// scope is the part of a rule that says what it is about.
func (r Rule) scope() Rule {
	s := Rule{App: r.App, Run: r.Run, Kind: r.Kind, Target: r.Target}
	if r.Lifetime == Once {
		s.Lifetime = Once
	}
	return s
}

// use puts the saved rules in force. With grants nil nothing has changed on
// disk and only the index is built.
func (e *Engine) use(next []Rule, grants *Grants, removed []string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if grants == nil {
		var err error
		next = e.stamped(e.rules)
		grants, err = NewGrants(slices.DeleteFunc(slices.Clone(next), func(r Rule) bool { return r.Lifetime == Once }))
		if err != nil {
			return err
		}
	}
	e.rules = next
	e.grants.Store(grants)
	for _, id := range removed {
		delete(e.uses, id)
	}
	clear(e.credits)
	for _, r := range next {
		e.meet(r.App, r.AppName)
		if r.Lifetime == Once {
			e.credits[askKey{r.App, r.Kind, r.Target}] = r
		}
	}
	e.sweep()
	e.emit(Change{Rules: true})
	select {
	case e.poke <- struct{}{}:
	default:
	}
	return nil
}

// RunEnded ends what was for one run only: its rules go, and what of it waits
// is denied. Requests that only it waited for stay in the inbox.
func (e *Engine) RunEnded(run string) {
	if run == "" || e.fault != nil {
		return
	}
	e.endRequests(run)
	e.ruleMu.Lock()
	defer e.ruleMu.Unlock()
	ofRun := func(r Rule) bool { return r.Lifetime == Run && r.Run == run }
	e.mu.Lock()
	has := slices.ContainsFunc(e.rules, ofRun)
	e.mu.Unlock()
	if !has {
		return
	}
	if err := e.change(ofRun, nil, nil); err != nil && !errors.Is(err, errClosed) {
		// A run's id never comes again, so the rule is dead all the same.
		e.log.Error("consent: the rules of an ended run cannot be removed", "run", run, "err", err)
	}
}
