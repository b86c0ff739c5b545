package consent

import (
	"slices"
	"strings"
	"time"
)

const (
	// sameAttempt is how long after a question was put what else the app wants
	// of the same site joins it. The question takes no answer from a button for
	// as long, so nobody has answered less than it says in the end.
	sameAttempt = time.Second
	// maxTargets is what one question can ask for.
	maxTargets = 10
	// sameDismissal is how long a one-time no covers the next tries at the same
	// site: a client that goes on to the other address family, or from https to
	// http, asks nothing new.
	sameDismissal = 2 * time.Second
)

// site is what the targets of one attempt have in common: the host of a flow
// whatever its port, the share of a path, the origin of a URL. Everything else
// stands for itself.
func site(r Request) string {
	switch r.Kind {
	case NetConnect:
		if w, err := takeNet(r.Target); err == nil {
			return w.host.String()
		}
	case FileRead, FileWrite:
		share, _, _ := strings.Cut(r.Target, "/")
		return share
	case URLOpen:
		return originOf(r.Target)
	}
	return r.Target
}

// siteMate is the question that a request for something new may join: one that
// is being put right now, about the same site. mu is held.
func (e *Engine) siteMate(r Request, now time.Time) *pending {
	for _, p := range e.byApp[r.App.ID()] {
		if p.prompt.Request.Kind == r.Kind && p.site == site(r) && p.takesMore(now) {
			return p
		}
	}
	return nil
}

func (p *pending) takesMore(now time.Time) bool {
	return p.busy == nil && len(p.waiters) > 0 && len(p.targets()) < maxTargets &&
		now.Sub(p.prompt.Asked) < sameAttempt
}

// echoKey is what a one-time no is remembered for.
type echoKey struct {
	run  runKey
	kind Kind
	site string
}

// echo is a one-time no that still covers the next tries.
type echo struct {
	request string
	until   time.Time
}

// remember keeps a one-time no for a moment. mu is held.
func (e *Engine) remember(p *pending, now time.Time) {
	for key, said := range e.echoes {
		if !now.Before(said.until) {
			delete(e.echoes, key)
		}
	}
	for run := range p.runs {
		key := echoKey{runKey{p.app, run}, p.prompt.Request.Kind, p.site}
		e.echoes[key] = echo{p.prompt.ID, now.Add(sameDismissal)}
	}
}

// echoed says whether the user has said no to this a moment ago. mu is held.
func (e *Engine) echoed(r Request, now time.Time) (Decision, bool) {
	said, there := e.echoes[echoKey{runKey{r.App.ID(), r.Run}, r.Kind, site(r)}]
	if !there || !now.Before(said.until) {
		return Decision{}, false
	}
	return Decision{Source: FromAnswer, Request: said.request, Detail: "denied a moment ago"}, true
}

// targets are what the question asks for, the first one first.
func (p *pending) targets() []string {
	return append([]string{p.prompt.Request.Target}, p.prompt.Also...)
}

// widen adds a target to a question. Whoever has seen it before has seen less,
// so the nonce is a new one. mu is held.
func (e *Engine) widen(p *pending, r Request) {
	p.prompt.Also = append(slices.Clone(p.prompt.Also), r.Target)
	if p.prompt.Reason == "" {
		p.prompt.Request.Reason = r.Reason
	}
	e.byApp[p.app][r.key()] = p
	p.prompt.Nonce = newNonce()
	p.prompt.describe()
}

// narrow takes away what the rules have decided meanwhile. mu is held.
func (e *Engine) narrow(p *pending, open []string) {
	for _, target := range p.targets() {
		if !slices.Contains(open, target) {
			delete(e.byApp[p.app], askKey{p.app, p.prompt.Request.Kind, target})
		}
	}
	p.prompt.Request.Target, p.prompt.Also = open[0], slices.Clone(open[1:])
	p.prompt.describe()
}
