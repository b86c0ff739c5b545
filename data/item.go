package data

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/consentry/consentry/sandbox"
)

// Bounds of a request. Texts are in bytes.
const (
	MaxPurpose = 500
	MaxItems   = 8
	MaxRecords = 1000
	// MaxRange is the longest range of time that is asked for at once.
	MaxRange = 366 * 24 * time.Hour

	maxFields = 16
	maxName   = 100
	maxURL    = 2048
	maxTitle  = 100
	maxBody   = 1000
)

// Item is one thing that an app asks for, as in RFC 9396: a type, actions, and
// members that go with the type.
type Item struct {
	Type    string    `json:"type"`
	Actions []string  `json:"actions,omitempty"` // the kind's one; none means it
	Fields  []string  `json:"fields,omitempty"`  // "email", or "name?": can do without
	Max     int       `json:"max,omitempty"`     // records; 0: MaxRecords
	From    time.Time `json:"from,omitzero"`     // RFC 3339
	To      time.Time `json:"to,omitzero"`
	Name    string    `json:"name,omitempty"`
	URL     string    `json:"url,omitempty"`
	Title   string    `json:"title,omitempty"`
	Body    string    `json:"body,omitempty"`
}

// Request turns an item into the request for it, checked.
func (i Item) Request(purpose string, retain bool) (sandbox.DataRequest, error) {
	req := sandbox.DataRequest{
		Kind: i.Type, Fields: i.Fields, Purpose: purpose, Retain: retain, Max: i.Max, From: i.From, To: i.To,
		Name: i.Name, URL: i.URL, Title: i.Title, Body: i.Body,
	}
	if err := Check(req); err != nil {
		return sandbox.DataRequest{}, err
	}
	if kind, _ := KindOf(i.Type); len(i.Actions) > 0 && !slices.Equal(i.Actions, []string{kind.Action}) {
		return sandbox.DataRequest{}, invalid("%s has the action %q only", kind.Name, kind.Action)
	}
	return req, nil
}

// Decode reads one JSON value that has no members but those of into.
func Decode(r io.Reader, into any) error {
	dec := json.NewDecoder(r)
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return fmt.Errorf("%w: the body is not a request: %w", sandbox.ErrInvalid, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return invalid("text after the JSON object")
	}
	return nil
}

// DecodeItem reads the JSON of an Item with the two members that stand beside
// items over HTTP; it is how a module asks.
func DecodeItem(kind string, raw []byte) (sandbox.DataRequest, error) {
	var body struct {
		Item
		Purpose string `json:"purpose"`
		Retain  string `json:"retain"`
	}
	if err := Decode(bytes.NewReader(raw), &body); err != nil {
		return sandbox.DataRequest{}, err
	}
	if body.Type != "" && body.Type != kind {
		return sandbox.DataRequest{}, invalid("the type is %q and %q", clip(kind), clip(body.Type))
	}
	retain, err := Retained(body.Retain)
	if err != nil {
		return sandbox.DataRequest{}, err
	}
	body.Type = kind
	return body.Request(body.Purpose, retain)
}

// Retained reads the member "retain": whether the answer is kept, to be had
// again, until the run ends or the grant does.
func Retained(text string) (bool, error) {
	switch text {
	case "", "none":
		return false, nil
	case "run":
		return true, nil
	}
	return false, invalid(`retain is "none" or "run"`)
}

// Check refuses a request that no answer of the user could make valid, before
// the user is asked.
func Check(req sandbox.DataRequest) error {
	kind, known := KindOf(req.Kind)
	if !known {
		return fmt.Errorf("%w: %q", sandbox.ErrUnknownKind, clip(req.Kind))
	}
	switch {
	case strings.TrimSpace(req.Purpose) == "":
		return invalid("a purpose is missing: say in a sentence what it is for")
	case len(req.Purpose) > MaxPurpose:
		return invalid("the purpose is %d bytes, more than %d", len(req.Purpose), MaxPurpose)
	case !utf8.ValidString(req.Purpose):
		return invalid("the purpose is not UTF-8")
	}
	if err := kind.checkFields(req.Fields); err != nil {
		return err
	}
	return kind.checkMembers(req)
}

func (k Kind) checkFields(fields []string) error {
	switch {
	case len(k.Fields) == 0 && len(fields) > 0:
		return invalid("%s has no fields", k.Name)
	case len(k.Fields) > 0 && len(fields) == 0:
		return invalid("no fields; %s has %s", k.Name, k.FieldNames())
	case len(fields) > maxFields:
		return invalid("%d fields, more than %d", len(fields), maxFields)
	}
	for _, field := range fields {
		name, _ := Optional(field)
		if _, has := k.Field(name); !has {
			return invalid("%s has no field %q; it has %s", k.Name, clip(field), k.FieldNames())
		}
	}
	return nil
}

func (k Kind) checkMembers(req sandbox.DataRequest) error {
	for _, m := range []struct {
		name string
		set  bool
	}{
		{memberMax, req.Max != 0}, {memberFrom, !req.From.IsZero()}, {memberTo, !req.To.IsZero()}, {memberName, req.Name != ""},
		{memberURL, req.URL != ""}, {memberTitle, req.Title != ""}, {memberBody, req.Body != ""},
	} {
		if m.set && !k.takes(m.name) {
			return invalid("%s takes no %s", k.Name, m.name)
		}
		if !m.set && slices.Contains(k.Needs, m.name) {
			return invalid("%s needs %s", k.Name, m.name)
		}
	}
	for _, text := range []struct {
		name, value string
		most        int
	}{{memberName, req.Name, maxName}, {memberURL, req.URL, maxURL}, {memberTitle, req.Title, maxTitle}, {memberBody, req.Body, maxBody}} {
		if len(text.value) > text.most || !utf8.ValidString(text.value) {
			return invalid("%s is not UTF-8 of at most %d bytes", text.name, text.most)
		}
	}
	switch {
	case req.Max < 0 || req.Max > MaxRecords:
		return invalid("max is not between 1 and %d", MaxRecords)
	case req.To.Before(req.From) || req.To.Sub(req.From) > MaxRange:
		return invalid("from and to are not a range of at most %d days", MaxRange/(24*time.Hour))
	}
	return nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %s", sandbox.ErrInvalid, fmt.Sprintf(format, args...))
}

// clip keeps a stranger's text short in our errors.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "…"
	}
	return s
}
