package consent

import (
	"fmt"

	"github.com/consentry/consentry/app"
)

// Use is something an app did with what it was given.
type Use struct {
	App     app.App
	Run     string
	Kind    Kind
	Target  string
	Rule    string // of the Decision
	Request string // of the Decision
	In, Out int64  // bytes to and from the app
	Times   int64  // how often; 0 is once
}

// Used writes a use down. It does not wait for the disk, where the line is
// within 100 ms; it waits only while a thousand lines are queued.
func (e *Engine) Used(u Use) {
	if e.store == nil {
		return
	}
	now := e.clock.time()
	l := Line{
		Time: now, Event: "use", App: CleanName(u.App.Name), AppID: u.App.ID(), Run: u.Run,
		Kind: string(u.Kind), Target: CleanTarget(u.Target), Verdict: Allow.String(),
		Rule: u.Rule, Request: u.Request, In: u.In, Out: u.Out,
	}
	if u.Times > 1 {
		l.Reason = fmt.Sprintf(timesForm, u.Times)
	}
	o := op{lines: []Line{l}}
	e.mu.Lock()
	if e.hasRule(u.Rule) {
		count := e.uses[u.Rule]
		count.rule, count.used, count.uses = u.Rule, now.UnixNano(), count.uses+max(u.Times, 1)
		e.uses[u.Rule] = count
		o.uses = []usage{count}
	}
	e.mu.Unlock()
	e.store.queue(o)
}

// timesForm is the reason of a line about several uses.
const timesForm = "%d times"

// timesOf says how many uses a line is about.
func timesOf(l Line) int64 {
	var n int64
	if _, err := fmt.Sscanf(l.Reason, timesForm, &n); err != nil || n < 1 {
		return 1
	}
	return n
}

// hasRule: mu is held.
func (e *Engine) hasRule(id string) bool {
	_, known := e.uses[id]
	if known || id == "" {
		return known
	}
	for i := range e.rules {
		if e.rules[i].ID == id {
			return true
		}
	}
	return false
}

// Event is something that happened around an app, for the ledger.
type Event struct {
	Event  string // "start", "stop", "publish", "share", "agent-start", "agent-stop"
	App    app.App
	Run    string
	Kind   string
	Target string
	Detail string
	By     string
}

// Note writes the events down, together, and returns when they are on disk.
func (e *Engine) Note(events ...Event) error {
	if e.store == nil {
		return e.fault
	}
	if err := e.store.commit(e.noted(events)); err != nil {
		return fmt.Errorf("note %s: %w", events[0].Event, err)
	}
	return nil
}

// NoteSoon writes the event down within 100 ms and does not wait for the disk;
// whoever reads the ledger sees it at once.
func (e *Engine) NoteSoon(ev Event) {
	if e.store != nil {
		e.store.queue(e.noted([]Event{ev}))
	}
}

func (e *Engine) noted(events []Event) (o op) {
	for _, ev := range events {
		o.lines = append(o.lines, e.lineOf(ev))
	}
	return o
}

func (e *Engine) lineOf(ev Event) Line {
	l := Line{
		Time: e.clock.time(), Event: CleanText(ev.Event), AppID: ev.App.ID(), Run: ev.Run, Kind: CleanText(ev.Kind),
		Target: CleanTarget(ev.Target), By: CleanText(ev.By), Reason: CleanText(ev.Detail),
	}
	if ev.App.Name != "" {
		l.App = CleanName(ev.App.Name)
	}
	return l
}

// CleanTarget is a target fit to be shown: what has no shape is spelled out.
func CleanTarget(target string) string {
	if len(target) > maxTarget {
		target = target[:maxTarget]
	}
	return showTarget(target)
}
