package consent

import (
	"slices"
	"time"
)

const (
	defaultUnused = 90 * 24 * time.Hour
	// lapseEvery is how often the times of last use are looked at: a rule that
	// was used may end that much too early, 90 days later, and is asked about.
	lapseEvery = time.Hour
)

// stamped is the rules with the time at which each ends if it is not used
// before. Only a yes for always has one: a no that ended would ask again, and
// what ends by itself needs no second end; nor does a yes that was shaped, as a
// wider one below it would come to light. Uses are not sealed; who can edit
// them can keep a rule from ending, not make one. mu is held.
func (e *Engine) stamped(rules []Rule) []Rule {
	rules = slices.Clone(rules)
	now := e.clock.time()
	for i := range rules {
		rules[i].Lapses = e.lapse(&rules[i], now)
	}
	return rules
}

func (e *Engine) lapse(r *Rule, now time.Time) time.Time {
	if e.cfg.Unused < 0 || r.Verdict != Allow || r.Lifetime != Always || r.Shape != "" {
		return time.Time{}
	}
	last := r.Since
	if used := fromNano(e.uses[r.ID].used); used.After(last) && !used.After(now) {
		last = used
	}
	return last.Add(e.cfg.Unused)
}

// ends is when the rule ends by itself; zero: never.
func (r *Rule) ends() time.Time {
	if r.Expires.IsZero() || !r.Lapses.IsZero() && r.Lapses.Before(r.Expires) {
		return r.Lapses
	}
	return r.Expires
}

// over says whether the rule has ended at now.
func (r *Rule) over(now time.Time) bool {
	end := r.ends()
	return !end.IsZero() && !now.Before(end)
}

// lapsed are the ledger's lines about rules that end because nobody used them.
func lapsed(rules []Rule, now time.Time) []Line {
	var lines []Line
	for _, r := range rules {
		if r.Lapses.IsZero() || now.Before(r.Lapses) {
			continue
		}
		l := r.line("lapse", now)
		l.Reason = "not used since " + r.lastUse().Format(time.DateOnly)
		lines = append(lines, l)
	}
	return lines
}

func (r *Rule) lastUse() time.Time {
	if r.Used.After(r.Since) {
		return r.Used
	}
	return r.Since
}
