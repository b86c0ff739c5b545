package userdata

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/emersion/go-ical"
	"github.com/teambition/rrule-go"

	"github.com/consentry/consentry/data"
)

// Bounds of following rules of recurrence, for all events of one reading.
const (
	maxSteps = 1_000_000
	stepTime = 5 * time.Second // a rule that never comes true takes half a second for one step
)

// effort is what is left of them.
type effort struct {
	steps int
	until time.Time
}

func newEffort() *effort { return &effort{maxSteps, time.Now().Add(stepTime)} }

func (e *effort) spent() bool { return e.steps <= 0 || time.Now().After(e.until) }

// readEvents reads the events of iCalendar files (RFC 5545) that touch the
// range of q, recurring ones as often as they do.
func readEvents(raw []byte, q Query) (all []data.Record, err error) {
	defer recovered(&err)
	left := newEffort()
	dec := ical.NewDecoder(bytes.NewReader(raw))
	for n := 1; ; n++ {
		cal, err := dec.Decode()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("calendar %d: %w", n, err)
		}
		if all = append(all, eventsOf(cal, q, left)...); len(all) > maxFound || left.spent() {
			return nil, errTooMuch
		}
	}
}

func eventsOf(cal *ical.Calendar, q Query, left *effort) []data.Record {
	events := cal.Events()
	moved := map[string]bool{} // UID and time of what another component stands for
	for _, e := range events {
		if id := e.Props.Get(ical.PropRecurrenceID); id != nil {
			if at, err := moment(id); err == nil {
				moved[text(e, ical.PropUID)+at.UTC().String()] = true
			}
		}
	}
	var all []data.Record
	for _, e := range events {
		start, end, ok := span(e)
		if !ok || text(e, ical.PropStatus) == string(ical.EventCancelled) {
			continue
		}
		override := e.Props.Get(ical.PropRecurrenceID) != nil
		for _, at := range times(e, start, end.Sub(start), q, left) {
			if !override && moved[text(e, ical.PropUID)+at.UTC().String()] {
				continue
			}
			all = append(all, eventRecord(e, at, at.Add(end.Sub(start))))
		}
	}
	return all
}

// times are the beginnings of an event in the range.
func times(e ical.Event, start time.Time, length time.Duration, q Query, left *effort) []time.Time {
	touches := func(at time.Time) bool { return at.Before(q.To) && at.Add(max(length, 1)).After(q.From) }
	var rule *rrule.Set
	option, err := e.Props.RecurrenceRule()
	// Rules within a day are for programs, and can have more steps than anybody waits for.
	if err == nil && option != nil && !left.spent() && option.Freq <= rrule.DAILY && e.Props.Get(ical.PropRecurrenceID) == nil {
		rule, _ = e.RecurrenceSet(start.Location())
	}
	if rule == nil {
		if touches(start) {
			return []time.Time{start}
		}
		return nil
	}
	var list []time.Time
	next := rule.Iterator()
	for ; left.steps > 0; left.steps-- {
		at, more := next()
		if !more || !at.Before(q.To) {
			break
		}
		if touches(at) {
			list = append(list, at)
		}
	}
	return list
}

func eventRecord(e ical.Event, start, end time.Time) data.Record {
	organizer := ""
	if p := e.Props.Get(ical.PropOrganizer); p != nil {
		if scheme, address, found := strings.Cut(p.Value, ":"); found && strings.EqualFold(scheme, "mailto") {
			organizer = address
		}
	}
	return data.Record{
		ID: text(e, ical.PropUID) + "/" + start.UTC().Format(time.RFC3339), Start: start, End: end,
		Fields: map[string]any{
			"start": start.Format(time.RFC3339), "end": end.Format(time.RFC3339), "busy": text(e, ical.PropTransparency) != "TRANSPARENT",
			"title": text(e, ical.PropSummary), "place": text(e, ical.PropLocation), "organizer": organizer, "note": text(e, ical.PropDescription),
		},
	}
}

func text(e ical.Event, name string) string {
	value, err := e.Props.Text(name)
	if err != nil {
		return ""
	}
	return value
}

// span is when the event is, as it stands there first. A whole day is one of
// this computer's time zone, as is a time without a zone, or with one that is
// not known here.
func span(e ical.Event) (start, end time.Time, ok bool) {
	p := e.Props.Get(ical.PropDateTimeStart)
	if p == nil {
		return start, end, false
	}
	start, err := moment(p)
	if err != nil {
		return start, end, false
	}
	if p := e.Props.Get(ical.PropDateTimeEnd); p != nil {
		end, err = moment(p)
		return start, end, err == nil && !end.Before(start)
	}
	if p := e.Props.Get(ical.PropDuration); p != nil {
		length, err := p.Duration()
		return start, start.Add(length), err == nil && length >= 0
	}
	if p.ValueType() == ical.ValueDate || len(p.Value) == len("20060102") {
		return start, start.AddDate(0, 0, 1), true
	}
	return start, start, true
}

func moment(p *ical.Prop) (time.Time, error) {
	at, err := p.DateTime(time.Local)
	if err == nil {
		return at, nil
	}
	plain := *p
	plain.Params = ical.Params{}
	for name, values := range p.Params {
		if name != ical.PropTimezoneID {
			plain.Params[name] = slices.Clone(values)
		}
	}
	return plain.DateTime(time.Local)
}
