package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// day is n days after some morning.
func day(n int) time.Time { return time.Date(2026, 11, 1+n, 9, 0, 0, 0, time.UTC) }

// marked are records whose every value is like no other.
func marked(kind Kind, n int) []Record {
	var list []Record
	for i := range n {
		r := Record{ID: fmt.Sprintf("id%d", i), Names: []string{fmt.Sprintf("Name %d", i)}, Start: day(i), End: day(i).Add(time.Hour), Fields: map[string]any{}}
		for _, f := range kind.Fields {
			r.Fields[f.Name] = mark(i, f.Name)
		}
		list = append(list, r)
	}
	return list
}

func mark(record int, field string) string { return fmt.Sprintf("<%d/%s>", record, field) }

// scene is a request, what the user made of it, and what there is.
type scene struct {
	kind    Kind
	req     sandbox.DataRequest
	granted Granted
	records []Record
}

func some(r *rand.Rand, fields []Field) []string {
	var list []string
	for _, f := range fields {
		if r.IntN(2) == 0 {
			list = append(list, f.Name)
		}
	}
	return list
}

func randomScene(r *rand.Rand, kind Kind) scene {
	s := scene{kind: kind, granted: Granted{}, records: marked(kind, r.IntN(8))}
	s.req = sandbox.DataRequest{Kind: kind.Name, Fields: some(r, kind.Fields), Purpose: "x", Max: r.IntN(4)}
	if kind.Name == Calendar {
		s.req.From, s.req.To = day(r.IntN(4)), day(4+r.IntN(4))
	}
	for _, field := range some(r, kind.Fields) {
		s.granted[field] = randomShape(r, kind)
	}
	return s
}

func randomShape(r *rand.Rand, kind Kind) Shape {
	var s Shape
	if kind.Many && r.IntN(2) == 0 {
		s.Only = []string{fmt.Sprintf("name %d", r.IntN(8)), fmt.Sprintf("id%d", r.IntN(8))}
	}
	if kind.Name == Calendar && r.IntN(2) == 0 {
		s.From, s.To = day(r.IntN(4)), day(2+r.IntN(6))
	}
	for _, f := range kind.Fields {
		switch r.IntN(5) {
		case 0:
			s.Redact = append(s.Redact, f.Name)
		case 1:
			s.MadeUp = append(s.MadeUp, f.Name)
		case 2:
			if !kind.Many {
				s.Say = map[string]string{f.Name: "said " + f.Name}
			}
		}
	}
	return s
}

// mayLeave says, without the code under test, whether a value may be in the answer.
func (s scene) mayLeave(record int, field string) bool {
	shape, granted := s.granted[field]
	_, said := shape.Say[field]
	if !granted || said || !slices.Contains(s.req.Fields, field) || slices.Contains(shape.Redact, field) || slices.Contains(shape.MadeUp, field) {
		return false
	}
	if !s.kind.Many {
		return record == 0
	}
	named := slices.Contains(shape.Only, fmt.Sprintf("name %d", record)) || slices.Contains(shape.Only, fmt.Sprintf("id%d", record))
	if len(shape.Only) > 0 && !named {
		return false
	}
	begins, ends := day(record), day(record).Add(time.Hour)
	for _, span := range [][2]time.Time{{shape.From, shape.To}, {s.req.From, s.req.To}} {
		if !span[0].IsZero() && !ends.After(span[0]) || !span[1].IsZero() && !begins.Before(span[1]) {
			return false
		}
	}
	return true
}

// No field leaves that was not granted: all kinds, random grants.
func TestNothingLeavesThatWasNotGranted(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	gave, withheld := 0, 0
	for range 4_000 {
		for _, kind := range Kinds() {
			if len(kind.Fields) == 0 {
				continue
			}
			s := randomScene(r, kind)
			reply, err := Answer(s.req, s.granted, s.records, Inventor{Key: []byte("key"), App: "app"})
			if err != nil && !errors.Is(err, sandbox.ErrDenied) {
				t.Fatal(err)
			}
			raw, err := json.Marshal(reply)
			if err != nil {
				t.Fatal(err)
			}
			text := strings.NewReplacer(`\u003c`, "<", `\u003e`, ">").Replace(string(raw))
			for i := range s.records {
				for _, f := range kind.Fields {
					if strings.Contains(text, mark(i, f.Name)) {
						gave++
						if !s.mayLeave(i, f.Name) {
							t.Fatalf("%s of record %d left\nrequest %+v\ngranted %+v\nanswer %s", f.Name, i, s.req, s.granted, text)
						}
					} else if s.mayLeave(i, f.Name) && s.req.Max == 0 {
						t.Fatalf("%s of record %d was granted and is not there\nrequest %+v\ngranted %+v\nanswer %s", f.Name, i, s.req, s.granted, text)
					}
				}
			}
			for _, field := range keysOf(reply) {
				if _, granted := s.granted[field]; !granted || !slices.Contains(s.req.Fields, field) {
					t.Fatalf("the answer has %s\nrequest %+v\ngranted %+v", field, s.req, s.granted)
				}
			}
			if s.req.Max > 0 && len(reply.Records) > s.req.Max {
				t.Fatalf("%d records, asked for %d", len(reply.Records), s.req.Max)
			}
			withheld += len(reply.Withheld)
		}
	}
	if gave < 5_000 || withheld < 5_000 {
		t.Errorf("%d values left and %d were withheld: too few to show anything", gave, withheld)
	}
}

func keysOf(reply sandbox.DataReply) []string {
	var keys []string
	for _, values := range append(slices.Clone(reply.Records), reply.Values) {
		for key := range values {
			keys = append(keys, key)
		}
	}
	return keys
}

// An empty profile, an empty book, a field without a value and a no are the same.
func TestNothingIsTheSameAsNo(t *testing.T) {
	for _, kind := range Kinds() {
		if len(kind.Fields) == 0 {
			continue
		}
		field := kind.Fields[0].Name
		req := sandbox.DataRequest{Kind: kind.Name, Fields: []string{field}, From: day(0), To: day(9)}
		all := Granted{field: {}}
		var replies []sandbox.DataReply
		var errs []error
		for _, try := range []struct {
			granted Granted
			records []Record
		}{{Granted{}, marked(kind, 2)}, {all, nil}, {all, []Record{{Start: day(1), End: day(2)}}}, {all, []Record{{Start: day(1), End: day(2), Fields: map[string]any{field: ""}}}}} {
			reply, err := Answer(req, try.granted, try.records, Inventor{})
			replies, errs = append(replies, reply), append(errs, err)
		}
		for i := range errs {
			if !errors.Is(errs[i], sandbox.ErrDenied) || errs[i].Error() != sandbox.ErrDenied.Error() || !reflect.DeepEqual(replies[i], sandbox.DataReply{}) {
				t.Errorf("%s, case %d: %+v, %v", kind.Name, i, replies[i], errs[i])
			}
		}
	}
}

func TestMadeUpValues(t *testing.T) {
	for _, kind := range Kinds() {
		if len(kind.Fields) == 0 || kind.Name == Files {
			continue
		}
		granted, req := Granted{}, sandbox.DataRequest{Kind: kind.Name}
		if kind.Name == Calendar {
			req.From, req.To = day(0), day(30)
		}
		for _, f := range kind.Fields {
			req.Fields = append(req.Fields, f.Name)
			granted[f.Name] = Shape{MadeUp: []string{f.Name}}
		}
		if !granted.Hidden(req) {
			t.Errorf("%s: the records would be read", kind.Name)
		}
		answer := func(app string, records []Record) string {
			reply, err := Answer(req, granted, records, Inventor{Key: []byte("key"), App: app})
			if err != nil {
				t.Fatal(kind.Name, err)
			}
			raw, err := json.Marshal(reply)
			if err != nil {
				t.Fatal(err)
			}
			return string(raw)
		}
		one := answer("one", nil)
		if one != answer("one", marked(kind, 5)) {
			t.Errorf("%s: what is made up depends on what there is", kind.Name)
		}
		if kind.Name != Clipboard && one == answer("two", nil) {
			t.Errorf("%s: two apps are told the same", kind.Name)
		}
		for _, host := range strings.SplitAfter(one, "@")[1:] {
			if !strings.HasPrefix(host, "example.") {
				t.Errorf("%s: an address of somebody: %s", kind.Name, one)
			}
		}
	}
}

func TestRedactedTellsNotWhetherThereIsAValue(t *testing.T) {
	kind, _ := KindOf(Identity)
	for _, f := range kind.Fields {
		req := sandbox.DataRequest{Kind: Identity, Fields: []string{f.Name}}
		granted := Granted{f.Name: {Redact: []string{f.Name}}}
		with, err1 := Answer(req, granted, marked(kind, 1), Inventor{})
		without, err2 := Answer(req, granted, nil, Inventor{})
		if err1 != nil || err2 != nil || !reflect.DeepEqual(with, without) {
			t.Errorf("%s: %+v %v, %+v %v", f.Name, with, err1, without, err2)
		}
	}
}

func TestShapes(t *testing.T) {
	for _, c := range []struct {
		kind, text string
		valid      bool
	}{
		{Identity, "", true},
		{Identity, `{"say":{"email":"other@example.org"},"redact":["name"],"madeUp":["locale"]}`, true},
		{Identity, `{"only":["Ada"]}`, false},
		{Identity, `{"redact":["shoe"]}`, false},
		{Identity, `{"redact":["name"],"madeUp":["name"]}`, false},
		{Identity, `{"unknown":1}`, false},
		{Identity, "!", false},
		{Contacts, `{"only":["Ada"],"madeUp":["phone"]}`, true},
		{Contacts, `{"say":{"name":"x"}}`, false},
		{Contacts, `{"from":"2026-11-01T00:00:00Z"}`, false},
		{Calendar, `{"from":"2026-11-01T00:00:00Z","to":"2026-11-08T00:00:00Z"}`, true},
		{Calendar, `{"from":"2026-11-08T00:00:00Z","to":"2026-11-01T00:00:00Z"}`, false},
		{Files, "", false},
		{Files, `{"only":["relative"]}`, false},
		{Files, `{"only":["/home/ada/a.txt"]}`, true},
		{Files, `{"only":["/home/ada/a.txt"],"redact":["name"]}`, false},
		{"dna", "", true},
		{"dna", `{"redact":["x"]}`, false},
		{Identity, `{"say":{"name":"` + strings.Repeat("x", MaxShape) + `"}}`, false},
	} {
		shape, err := ParseShape(c.kind, c.text)
		if (err == nil) != c.valid {
			t.Errorf("%s %.80s: %v", c.kind, c.text, err)
		}
		if err != nil {
			continue
		}
		again, err := ParseShape(c.kind, shape.Text())
		if err != nil || again.Text() != shape.Text() {
			t.Errorf("%s: %s, %v", shape.Text(), again.Text(), err)
		}
	}
}

func FuzzRequest(f *testing.F) {
	for _, kind := range Kinds() {
		f.Add(kind.Name, []byte(`{"fields":["email","name?"],"purpose":"x","max":3,"from":"2026-11-01T00:00:00Z","to":"2026-12-01T00:00:00Z"}`))
	}
	f.Add("secret", []byte(`{"name":"token","purpose":"x","retain":"run","actions":["use"]}`))
	f.Fuzz(func(t *testing.T, kind string, raw []byte) {
		req, err := DecodeItem(kind, raw)
		if err != nil {
			if !errors.Is(err, sandbox.ErrInvalid) && !errors.Is(err, sandbox.ErrUnknownKind) {
				t.Fatalf("%q: %v", raw, err)
			}
			return
		}
		if err := Check(req); err != nil {
			t.Fatalf("taken, and then refused: %+v: %v", req, err)
		}
		k, _ := KindOf(req.Kind)
		reply, err := Answer(req, Granted{}, marked(k, 3), Inventor{})
		if err == nil || len(keysOf(reply)) > 0 {
			t.Fatalf("nothing was granted, and %+v was given", reply)
		}
	})
}

func FuzzShape(f *testing.F) {
	f.Add(Identity, `{"say":{"email":"a"},"redact":["name"],"madeUp":["locale"]}`)
	f.Add(Contacts, `{"only":["a","b"]}`)
	f.Fuzz(func(t *testing.T, kind, text string) {
		shape, err := ParseShape(kind, text)
		if err != nil {
			return
		}
		again, err := ParseShape(kind, shape.Text())
		if err != nil || again.Text() != shape.Text() {
			t.Fatalf("%q is %q, then %q, %v", text, shape.Text(), again.Text(), err)
		}
	})
}
