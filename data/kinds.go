package data

import (
	"fmt"
	"slices"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// Kind is one kind of data, with the fields an app may ask for one by one.
type Kind struct {
	Name   string   `json:"name"`
	Title  string   `json:"title"` // for people
	Fields []string `json:"fields"`
}

// Identity is who the user says they are.
const Identity = "identity"

// Kinds lists the kinds there are.
func Kinds() []Kind {
	return []Kind{
		{Name: Identity, Title: "who you are", Fields: []string{"email", "name", "nickname", "avatar", "locale", "timezone"}},
	}
}

// Bounds of a request.
const (
	MaxPurpose = 500 // bytes
	maxFields  = 16
)

// Check refuses a request that no answer of the user could make valid, before
// the user is asked.
func Check(req sandbox.DataRequest) error {
	at := slices.IndexFunc(Kinds(), func(k Kind) bool { return k.Name == req.Kind })
	if at < 0 {
		return fmt.Errorf("%w: %q", sandbox.ErrUnknownKind, clip(req.Kind))
	}
	kind := Kinds()[at]
	switch {
	case strings.TrimSpace(req.Purpose) == "":
		return fmt.Errorf("%w: a purpose is missing: say in a sentence what the data is for", sandbox.ErrInvalid)
	case len(req.Purpose) > MaxPurpose:
		return fmt.Errorf("%w: the purpose is %d bytes, more than %d", sandbox.ErrInvalid, len(req.Purpose), MaxPurpose)
	case len(req.Fields) == 0:
		return fmt.Errorf("%w: no fields; %s has %s", sandbox.ErrInvalid, kind.Name, strings.Join(kind.Fields, ", "))
	case len(req.Fields) > maxFields:
		return fmt.Errorf("%w: %d fields, more than %d", sandbox.ErrInvalid, len(req.Fields), maxFields)
	}
	for _, field := range req.Fields {
		if name, _ := Optional(field); !slices.Contains(kind.Fields, name) {
			return fmt.Errorf("%w: %s has no field %q; it has %s", sandbox.ErrInvalid, kind.Name, clip(field), strings.Join(kind.Fields, ", "))
		}
	}
	return nil
}

// Optional splits the mark of an optional field ("name?") from its name.
func Optional(field string) (name string, optional bool) {
	return strings.CutSuffix(field, "?")
}

// Names returns the fields without their marks, sorted, each once: the
// canonical target of a data request.
func Names(fields []string) []string {
	names := make([]string, 0, len(fields))
	for _, field := range fields {
		name, _ := Optional(field)
		names = append(names, name)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// clip keeps a stranger's text short in our errors.
func clip(s string) string {
	const most = 40
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
