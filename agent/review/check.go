package review

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/data"
)

// Finding is something that the author of a manifest should change.
type Finding struct {
	Refused bool   // such a manifest is not taken; else it is advice
	Code    string // "unknown-field", …
	Path    string // of the value, as in app.ManifestError; "" is the whole
	Line    int    // from 1; 0 is not known
	Column  int    // from 1, in characters
	Message string
	Hint    string
}

// Bounds of a reason that a person reads in a second. In characters.
const (
	shortReason = 12
	longReason  = 160
)

// Check is what there is to say about a manifest. It is taken exactly if no
// finding says that it is refused: by app.ParseManifest and by Lines, as at a
// start.
func Check(raw []byte) []Finding {
	m, err := app.ParseManifest(raw)
	if err != nil {
		f := Finding{Refused: true, Code: "refused", Message: err.Error(), Hint: "sdk/manifest.schema.json has the form of a manifest"}
		var wrong *app.ManifestError
		if errors.As(err, &wrong) {
			f.Path, f.Message = wrong.Path, wrong.Err.Error()
			offset := wrong.Offset
			if place, has := app.Places(raw)[wrong.Path]; has && wrong.Path != "" {
				offset = place
			}
			f.Line, f.Column = position(raw, offset)
		}
		return []Finding{f}
	}
	places := app.Places(raw)
	found := CheckManifest(m)
	for i, f := range found {
		if place, has := places[f.Path]; has {
			found[i].Line, found[i].Column = position(raw, place)
		}
	}
	return found
}

// position counts lines and characters; an offset below zero is not known.
func position(raw []byte, offset int64) (line, column int) {
	if offset < 0 || offset > int64(len(raw)) {
		return 0, 0
	}
	before := string(raw[:offset])
	return strings.Count(before, "\n") + 1, utf8.RuneCountInString(before[strings.LastIndex(before, "\n")+1:]) + 1
}

// CheckManifest is Check for a manifest that has been read.
func CheckManifest(m *app.Manifest) []Finding {
	var found []Finding
	seen := map[[2]string]int{}
	for i, right := range m.Rights {
		at := func(member string, fs ...Finding) {
			for _, f := range fs {
				f.Path = fmt.Sprintf("rights/%d/%s", i, member)
				found = append(found, f)
			}
		}
		line, err := lineOf(right)
		if err != nil {
			at("target", Finding{Refused: true, Code: "bad-target", Message: err.Error(), Hint: "docs/rights.md tells how rights are written"})
			continue
		}
		at("target", checkTarget(line, right.Target)...)
		at("reason", checkReason(line)...)
		if line.Without == "" {
			at("reason", Finding{Code: "no-without", Message: "it does not say what will not work without this right", Hint: `add "without": what the user misses after a no`})
		}
		key := [2]string{string(line.Kind), line.Target}
		if first, twice := seen[key]; twice {
			at("target", Finding{Code: "twice", Message: fmt.Sprintf("the same right as number %d", first+1), Hint: "make one of both; their reasons are shown as one"})
			continue
		}
		seen[key] = i
	}
	return found
}

func checkTarget(line Line, written string) []Finding {
	switch {
	case line.Kind.IsData():
		return checkFields(line, written)
	case line.Kind == consent.NetConnect:
		return checkPlace(line.Target)
	}
	return nil
}

// checkFields: a kind or a field that there is not can be allowed, and is never
// given.
func checkFields(line Line, written string) []Finding {
	name := strings.TrimPrefix(string(line.Kind), consent.DataPrefix)
	kind, known := data.KindOf(name)
	if !known || len(kind.Fields) == 0 {
		var names []string
		for _, k := range data.Kinds() {
			if len(k.Fields) > 0 {
				names = append(names, consent.DataPrefix+k.Name)
			}
		}
		return []Finding{{Code: "unknown-data", Message: fmt.Sprintf("there is no kind of data %q: a request for it always fails", name), Hint: "there are " + strings.Join(names, ", ")}}
	}
	if line.Target == "*" {
		return []Finding{{Code: "wildcard", Message: "it asks for every field, also those to come", Hint: "name the fields that you use, of " + kind.FieldNames()}}
	}
	var found []Finding
	needs := 0
	for field := range strings.SplitSeq(written, ",") {
		field, optional := data.Optional(strings.TrimSpace(field))
		if _, has := kind.Field(field); !has {
			found = append(found, Finding{Code: "unknown-field", Message: fmt.Sprintf("%s has no field %.40q: it is never given", line.Kind, field), Hint: "there are " + kind.FieldNames()})
		}
		if !optional {
			needs++
		}
	}
	if many := len(strings.Split(line.Target, ",")); many > 3 && needs == many {
		found = append(found, Finding{Code: "all-needed", Message: fmt.Sprintf("it needs all of %d fields", many), Hint: `put "?" after those that you can do without: people give more where less is needed`})
	}
	return found
}

// checkPlace looks at a place of the network in the form of a rule.
func checkPlace(target string) []Finding {
	_, rest, _ := strings.Cut(target, "/")
	colon := strings.LastIndex(rest, ":")
	if colon < 0 {
		return nil
	}
	host, port := rest[:colon], rest[colon+1:]
	var found []Finding
	switch {
	case host == "*":
		found = append(found, Finding{Code: "wildcard", Message: "it asks for every host", Hint: "name the hosts that you connect to; consentry run --learn lists them"})
	case strings.HasPrefix(host, "*."):
		found = append(found, Finding{Code: "wildcard", Message: fmt.Sprintf("it asks for every name below %s", host[2:]), Hint: "name the hosts, if they are few"})
	}
	if port == "*" || strings.Contains(port, "-") {
		found = append(found, Finding{Code: "wildcard", Message: fmt.Sprintf("it asks for the ports %s", port), Hint: "name the port"})
	}
	return found
}

// empty words tell a user nothing that the right itself does not.
var emptyWords = []string{
	"required", "needed", "necessary", "for functionality", "functionality", "to work", "to function", "to run", "for the app", "app", "test", "testing",
	"because", "reason", "todo", "n/a", "none", "data", "network", "access", "internet", "to improve your experience", "better experience",
}

func checkReason(line Line) []Finding {
	reason := line.Reason
	plain := strings.Trim(strings.ToLower(reason), " .!…")
	n := utf8.RuneCountInString(reason)
	switch {
	case slices.Contains(emptyWords, plain), n < shortReason && strings.Count(plain, " ") < 2, strings.EqualFold(plain, string(line.Kind)):
		return []Finding{{Code: "vague-reason", Message: fmt.Sprintf("the reason %q tells the user nothing", reason), Hint: `say what it is for and what they get: "to show the weather where you are"`}}
	case n > longReason:
		return []Finding{{Code: "long-reason", Message: fmt.Sprintf("the reason has %d characters", n), Hint: fmt.Sprintf("people read one sentence: at most %d", longReason)}}
	}
	return nil
}
