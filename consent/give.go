package consent

import (
	"cmp"
	"context"
	"fmt"
	"time"
)

// Give gives rules that nobody asked for, all or none of them; each is by its
// verdict a yes or a no. App, Kind and Target must be set; the target may be in
// any spelling. Lifetime "" is Always; Timed wants Expires, Run wants Run. A
// rule for the very same target replaces the one before. All are on disk before
// Give returns. An error wraps ErrBadRule where a rule is at fault.
func (e *Engine) Give(ctx context.Context, rules []Rule) ([]Rule, error) {
	if err := e.ready(ctx); err != nil || len(rules) == 0 {
		return nil, err
	}
	given, err := prepareRules(rules, e.clock.time())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRule, err)
	}
	var lines []Line
	for _, r := range given {
		lines = append(lines, r.line(r.Verdict.String(), r.Since))
	}
	e.ruleMu.Lock()
	defer e.ruleMu.Unlock()
	if err := e.change(none, given, &op{lines: lines}); err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range given {
		if r.Verdict == Allow {
			e.endPauses(r.App)
		}
	}
	return given, nil
}

// prepareRules makes rules as they are kept out of rules as they were said.
func prepareRules(rules []Rule, now time.Time) ([]Rule, error) {
	var given []Rule
	seen := map[Rule]bool{}
	for _, r := range rules {
		r, err := prepareRule(r, now)
		if err != nil {
			return nil, err
		}
		if seen[r.scope()] {
			return nil, fmt.Errorf("%s %s stands there twice", r.Kind, r.Target)
		}
		seen[r.scope()] = true
		given = append(given, r)
	}
	return given, nil
}

func prepareRule(r Rule, now time.Time) (Rule, error) {
	target, err := CanonicalRule(r.Kind, r.Target)
	if err != nil {
		return Rule{}, err
	}
	r.Target = target
	r.Lifetime = cmp.Or(r.Lifetime, Always)
	r.By = cmp.Or(CleanText(r.By), "api")
	r.AppName = CleanName(r.AppName)
	r.ID, r.Since, r.Used, r.Uses = newRuleID(), now, time.Time{}, 0
	if r.Lifetime == Timed && (!r.Expires.After(now) || r.Expires.Sub(now) > maxTime) {
		return Rule{}, fmt.Errorf("the time must end within a year from now")
	}
	if r.Lifetime != Timed {
		r.Expires = time.Time{}
	}
	_, err = NewGrants([]Rule{r})
	return r, err
}
