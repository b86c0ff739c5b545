package consent

import (
	"fmt"
	"time"

	"github.com/consentry/consentry/app"
)

// Explanation says what would happen to a request, and why.
type Explanation struct {
	Verdict string // "allow", "deny", "ask"
	Text    string // in plain words, one or two sentences
	Rule    *Rule  // that decides, if one does
}

// Why explains what a request would meet now. It asks nobody and writes nothing.
func (e *Engine) Why(a app.App, run string, k Kind, target string) Explanation {
	deny := func(text string) Explanation { return Explanation{Verdict: Deny.String(), Text: text} }
	r, err := cleanRequest(Request{App: a, Run: run, Kind: k, Target: target})
	if err != nil {
		return deny("Denied: " + err.Error() + ".")
	}
	if err := e.Health(); err != nil {
		return deny("Denied: " + err.Error() + ".")
	}
	d, ok := e.Lookup(r)
	if !ok {
		return e.whyOpen(r)
	}
	rule := e.rule(d.Rule)
	if rule == nil {
		return deny("Denied: " + d.Detail + ".")
	}
	return Explanation{Verdict: d.Verdict.String(), Text: rule.explain(r.Target), Rule: rule}
}

func (e *Engine) whyOpen(r Request) Explanation {
	e.mu.Lock()
	credit, late := e.credits[r.key()]
	e.mu.Unlock()
	if late && e.clock.time().Before(credit.Expires) {
		return Explanation{Verdict: Allow.String(), Text: fmt.Sprintf(
			"Allowed once: request %s was answered late, and the next try until %s gets through.",
			requestOf(credit.ID), credit.Expires.Local().Format(time.TimeOnly))}
	}
	return Explanation{Verdict: "ask", Text: fmt.Sprintf("No rule covers %s %s: the app waits until you answer.", r.Kind, CleanTarget(r.Target))}
}

func (e *Engine) rule(id string) *Rule {
	for _, r := range e.Rules("") {
		if r.ID == id {
			return &r
		}
	}
	return nil
}

func (r *Rule) explain(target string) string {
	verb := "Denied"
	if r.Verdict == Allow {
		verb = "Allowed"
	}
	about := "exactly this"
	switch {
	case r.Kind == AnyKind:
		about = "everything that no other rule allows"
	case r.Target != target:
		about = "all of " + CleanTarget(r.Target)
	}
	text := fmt.Sprintf("%s by rule %s, which is about %s. It was given on %s (%s) and lasts %s.",
		verb, r.ID, about, r.Since.Local().Format(time.DateTime), r.By, r.lasts())
	if r.Uses > 0 {
		text += fmt.Sprintf(" Used %d times, last on %s.", r.Uses, r.Used.Local().Format(time.DateTime))
	}
	return text
}

func (r *Rule) lasts() string {
	switch r.Lifetime {
	case Run:
		return "until the run " + r.Run + " ends"
	case Timed:
		return "until " + r.Expires.Local().Format(time.DateTime)
	}
	if !r.Lapses.IsZero() {
		return "until it is taken back, or " + r.Lapses.Local().Format(time.DateOnly) + " if it is not used before"
	}
	return "until it is taken back"
}
