package data

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Shape is what the user made of a yes: which records, and what stands in the
// place of a value. The zero value gives everything as it is.
type Shape struct {
	// Only names the records that are given: a contact by its name, address or
	// id, a file by its path.
	Only []string `json:"only,omitempty"`
	// From and To bound the time that events are given of.
	From time.Time `json:"from,omitzero"`
	To   time.Time `json:"to,omitzero"`
	// Say has other words for fields of a kind that has one of each.
	Say    map[string]string `json:"say,omitempty"`
	Redact []string          `json:"redact,omitempty"` // fields that are there, and empty of meaning
	MadeUp []string          `json:"madeUp,omitempty"` // fields with invented values, the same each time
}

// Bounds of a shape's text, in bytes, and of its lists.
const (
	MaxShape = 8 << 10
	maxOnly  = 100
)

// ParseShape reads the text of a shape for a kind; "" is the zero value. An
// error says what a user who typed it has to change.
func ParseShape(kind, text string) (Shape, error) {
	var s Shape
	if len(text) > MaxShape {
		return Shape{}, invalid("what you chose takes %d bytes, more than %d", len(text), MaxShape)
	}
	if text != "" {
		if err := Decode(strings.NewReader(text), &s); err != nil {
			return Shape{}, err
		}
	}
	k, known := KindOf(kind)
	if !known {
		if s.zero() {
			return s, nil
		}
		return Shape{}, invalid("there is nothing to choose of %q", clip(kind))
	}
	return s, k.checkShape(s)
}

// Text is the one way in which s is written; "" for the zero value.
func (s Shape) Text() string {
	if s.zero() {
		return ""
	}
	s.Only, s.Redact, s.MadeUp = sorted(s.Only), sorted(s.Redact), sorted(s.MadeUp)
	s.From, s.To = s.From.UTC(), s.To.UTC()
	raw, err := json.Marshal(s)
	if err != nil { // times outside of RFC 3339: never parsed again, so it denies
		return "!"
	}
	return string(raw)
}

func (s Shape) zero() bool {
	return len(s.Only)+len(s.Say)+len(s.Redact)+len(s.MadeUp) == 0 && s.From.IsZero() && s.To.IsZero()
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

func (k Kind) checkShape(s Shape) error {
	switch {
	case k.Name == Files && len(s.Only) == 0:
		return invalid("name the files that you give: --only PATH")
	case k.Name == Files && slices.ContainsFunc(s.Only, func(p string) bool { return !filepath.IsAbs(p) }):
		return invalid("a file is named by its absolute path")
	case k.Name == Files && len(s.Redact)+len(s.MadeUp) > 0:
		return invalid("a file is given as it is, or not")
	case len(s.Only) > 0 && k.Name != Files && k.Name != Contacts:
		return invalid("%s has no records to choose from by name", k.Name)
	case len(s.Only) > maxOnly:
		return invalid("%d records are chosen, more than %d", len(s.Only), maxOnly)
	case !(s.From.IsZero() && s.To.IsZero()) && k.Name != Calendar:
		return invalid("%s has no range of time", k.Name)
	case !s.To.IsZero() && s.To.Before(s.From):
		return invalid("the range of time ends before it begins")
	case len(s.Say) > 0 && k.Many:
		return invalid("%s has many records: there is no one value to say instead", k.Name)
	}
	return k.checkHidden(s)
}

func (k Kind) checkHidden(s Shape) error {
	seen := map[string]bool{}
	for _, field := range slices.Concat(slices.Collect(maps.Keys(s.Say)), s.Redact, s.MadeUp) {
		if _, has := k.Field(field); !has {
			return invalid("%s has no field %q; it has %s", k.Name, clip(field), orNone(k.FieldNames()))
		}
		if seen[field] {
			return invalid("%s is said, redacted or made up twice", field)
		}
		seen[field] = true
	}
	for field, value := range s.Say {
		if len(value) > MaxValue {
			return invalid("%s is %d bytes, more than %d", field, len(value), MaxValue)
		}
	}
	return nil
}

func orNone(text string) string {
	if text == "" {
		return "none"
	}
	return text
}

// covers says whether a record is one of those that are given.
func (s Shape) covers(r Record) bool {
	if len(s.Only) > 0 && !slices.ContainsFunc(s.Only, r.is) {
		return false
	}
	if !s.From.IsZero() && !r.End.After(s.From) {
		return false
	}
	return s.To.IsZero() || r.Start.Before(s.To)
}
