package data

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// MaxValue bounds one value that is text, in bytes.
const MaxValue = 64 << 10

// maxAnswer bounds the records of one answer, in bytes of JSON.
const maxAnswer = 2 << 20

// Record is one of the user's: a person, an event, a file, or all there is of a
// kind that has one of each field.
type Record struct {
	ID     string         // stable
	Names  []string       // what a user may call it
	Start  time.Time      // of an event
	End    time.Time      // of an event
	Fields map[string]any // strings, numbers, booleans

	invented bool
}

func (r Record) is(name string) bool {
	return name == r.ID || slices.ContainsFunc(r.Names, func(own string) bool { return strings.EqualFold(own, name) })
}

// Granted is what a yes covers: fields, each with what the user made of it. A
// field that is not in it is not granted.
type Granted map[string]Shape

// Hidden says whether no granted field of the request gives anything of the
// user's own, so that the records need not even be read.
func (g Granted) Hidden(req sandbox.DataRequest) bool {
	for _, field := range Names(req.Fields) {
		if shape, granted := g[field]; granted && !shape.invents(field) {
			return false
		}
	}
	return true
}

func (s Shape) invents(field string) bool {
	_, said := s.Say[field]
	return said || slices.Contains(s.MadeUp, field)
}

// Answer makes the answer to a request out of the user's records. It is
// sandbox.ErrDenied when nothing is left to give, as if the user had said no.
func Answer(req sandbox.DataRequest, granted Granted, records []Record, inventor Inventor) (sandbox.DataReply, error) {
	kind, known := KindOf(req.Kind)
	if !known {
		return sandbox.DataReply{}, sandbox.ErrUnknownKind
	}
	fields := Names(req.Fields)
	a := answer{kind: kind, granted: granted, inventor: inventor}
	var reply sandbox.DataReply
	if kind.Many {
		if granted.Hidden(req) {
			records = inventor.records(kind, req)
		}
		reply.Records = a.records(fields, inRange(records, req), limit(req.Max))
	} else {
		one := append(records, Record{})[0]
		one.ID = "" // nothing made up may hang on it
		reply.Values = a.fields(fields, one)
	}
	reply.Withheld = withheld(fields, reply)
	if len(reply.Withheld) == len(fields) {
		return sandbox.DataReply{}, sandbox.ErrDenied
	}
	return reply, nil
}

func limit(most int) int {
	if most == 0 {
		return MaxRecords
	}
	return most
}

func inRange(records []Record, req sandbox.DataRequest) []Record {
	return slices.DeleteFunc(slices.Clone(records), func(r Record) bool {
		return !Shape{From: req.From, To: req.To}.covers(r)
	})
}

// withheld lists the fields that no part of the answer has.
func withheld(fields []string, reply sandbox.DataReply) []string {
	return slices.DeleteFunc(slices.Clone(fields), func(field string) bool {
		_, has := reply.Values[field]
		return has || slices.ContainsFunc(reply.Records, func(r map[string]any) bool { return r[field] != nil })
	})
}

type answer struct {
	kind     Kind
	granted  Granted
	inventor Inventor
}

// records stops before the answer is too long for the way to the app.
func (a answer) records(fields []string, from []Record, most int) []map[string]any {
	var out []map[string]any
	size := 0
	for _, r := range from {
		values := a.fields(fields, r)
		if len(values) == 0 {
			continue
		}
		raw, err := json.Marshal(values)
		if size += len(raw); err != nil || size > maxAnswer || len(out) == most {
			break
		}
		out = append(out, values)
	}
	return out
}

// fields is the one place where values of the user's pass.
func (a answer) fields(names []string, r Record) map[string]any {
	values := map[string]any{}
	for _, name := range names {
		shape, granted := a.granted[name]
		field, has := a.kind.Field(name)
		if !granted || !has || a.kind.Many && !r.invented && !shape.covers(r) {
			continue
		}
		if value := a.value(field, shape, r); value != nil {
			values[name] = value
		}
	}
	return values
}

func (a answer) value(field Field, shape Shape, r Record) any {
	if said, has := shape.Say[field.Name]; has {
		return said
	}
	switch {
	case slices.Contains(shape.Redact, field.Name):
		return redacted(field.Format)
	case slices.Contains(shape.MadeUp, field.Name):
		return a.inventor.value(a.kind, field, r)
	}
	value := r.Fields[field.Name]
	if text, is := value.(string); is && (text == "" || len(text) > MaxValue) {
		return nil
	}
	return value
}

// redacted has the format of a field and nothing of its value, not even
// whether there is one.
func redacted(f Format) any {
	switch f {
	case Email:
		return "redacted@example.invalid"
	case Phone:
		return "+10000000000"
	case URL:
		return "https://redacted.example/"
	case Day:
		return "1970-01-01"
	case Moment:
		return "1970-01-01T00:00:00Z"
	case Zone:
		return "Etc/UTC"
	case Locale:
		return "und"
	case Number:
		return 0
	case Flag:
		return true
	}
	return "redacted"
}
