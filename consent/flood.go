package consent

import (
	"fmt"
	"time"

	"github.com/consentry/consentry/app"
)

// Limits of one app. What goes beyond is denied, may be tried again, and is counted.
const (
	maxLive        = 20    // prompts at a time
	maxWaiting     = 4096  // requests at those prompts
	maxRate        = 1000  // requests a second that no rule decides
	maxLineRate    = 50    // ledger lines a second about refusals
	maxInbox       = 200   // requests in the inbox
	maxRefusals    = 10000 // remembered, so that each is written once in refusalEvery
	inboxAge       = 24 * time.Hour
	refusalEvery   = time.Minute
	dismissals     = 3 // one-time denials in a row that pause asking
	dismissalsSpan = 10 * time.Minute
	pauseTime      = 10 * time.Minute
)

// traffic counts what one app asks for.
type traffic struct {
	second  time.Time // that count and lines are about
	count   int
	lines   int
	unsaid  int // refusals without a line since the last line
	refused map[refusalKey]time.Time
}

type refusalKey struct {
	run, kind, target, source string
}

// runKey is a run of an app.
type runKey struct {
	app app.ID
	run string
}

// pause ends asking for a run after several dismissals in a row.
type pause struct {
	count int
	first time.Time
	until time.Time
}

func (e *Engine) trafficOf(id app.ID, now time.Time) *traffic {
	t := e.traffic[id]
	if t == nil {
		t = &traffic{refused: map[refusalKey]time.Time{}}
		e.traffic[id] = t
	}
	if now.Sub(t.second) >= time.Second {
		t.second, t.count, t.lines = now, 0, 0
	}
	return t
}

// flood says whether the request goes beyond what may wait. mu is held.
func (e *Engine) flood(r Request, now time.Time) (Decision, bool) {
	no := func(format string, args ...any) (Decision, bool) {
		return Decision{Source: FromFlood, Detail: fmt.Sprintf(format, args...)}, true
	}
	id := r.App.ID()
	t := e.trafficOf(id, now)
	if t.count++; t.count > maxRate {
		return no("more than %d requests a second", maxRate)
	}
	if p := e.pauses[runKey{id, r.Run}]; p != nil && now.Before(p.until) {
		return no("asking is paused until %s, after %d dismissals", p.until.Local().Format("15:04"), dismissals)
	}
	live, waiting := 0, 0
	for key, p := range e.byApp[id] {
		if len(p.waiters) > 0 && key.target == p.prompt.Request.Target {
			live++
			waiting += len(p.waiters)
		}
	}
	p := e.find(r.key())
	if p == nil {
		p = e.siteMate(r, now)
	}
	if waiting >= maxWaiting || live >= maxLive && (p == nil || len(p.waiters) == 0) {
		return no("%d questions of this app wait already", live)
	}
	return Decision{}, false
}

// worthALine says whether a refusal gets a line of its own: the same one once
// a minute, and never more than a few a second. The others are counted and the
// next line says so. mu is held.
func (e *Engine) worthALine(l *Line, now time.Time) bool {
	if l.Source == string(FromFlood) {
		l.Kind, l.Target = "", "" // one line for the whole flood
	}
	t := e.trafficOf(l.AppID, now)
	key := refusalKey{l.Run, l.Kind, l.Target, l.Source}
	last, known := t.refused[key]
	if t.lines >= maxLineRate || known && now.Sub(last) < refusalEvery {
		t.unsaid++
		return false
	}
	if len(t.refused) >= maxRefusals {
		clear(t.refused)
	}
	t.refused[key] = now
	t.lines++
	if t.unsaid > 0 {
		if l.Reason != "" {
			l.Reason += "; "
		}
		l.Reason += fmt.Sprintf("%d refusals before this one have no line", t.unsaid)
		t.unsaid = 0
	}
	return true
}

// dismissed counts a one-time no. mu is held.
func (e *Engine) dismissed(p *pending, now time.Time) {
	for run := range p.runs {
		key := runKey{p.app, run}
		s := e.pauses[key]
		if s == nil || now.Sub(s.first) > dismissalsSpan {
			s = &pause{first: now}
			e.pauses[key] = s
		}
		if s.count++; s.count >= dismissals {
			s.count, s.until, s.first = 0, now.Add(pauseTime), now
			e.log.Info("consent: asking is paused", "app", p.prompt.AppName, "run", run, "until", s.until)
		}
	}
}
