package cli

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/consentry/consentry/data"
)

// shapeFlags are what the user makes of a yes about data.
type shapeFlags struct {
	only, say      []string
	redact, madeUp []string
	from, to       string
}

func (f *shapeFlags) add(flags *pflag.FlagSet) {
	flags.StringArrayVar(&f.only, "only", nil, "for data: a `CONTACT` by its name, address or id, or the path of a file; again for more")
	flags.StringArrayVar(&f.say, "say", nil, "for data: another value, as `FIELD=VALUE`")
	flags.StringSliceVar(&f.redact, "redact", nil, "for data: `FIELDS` that are given without their content")
	flags.StringSliceVar(&f.madeUp, "made-up", nil, "for data: `FIELDS` that are given with invented values, the same each time")
	flags.StringVar(&f.from, "from", "", "for the calendar: nothing that ends before `DATE`")
	flags.StringVar(&f.to, "to", "", "for the calendar: nothing that begins after `DATE`")
}

// text is the shape as the agent takes it; "" for none.
func (f *shapeFlags) text() (string, error) {
	shape := data.Shape{Redact: f.redact, MadeUp: f.madeUp}
	for _, name := range f.only {
		if strings.ContainsRune(name, filepath.Separator) {
			path, err := filepath.Abs(name)
			if err != nil {
				return "", err
			}
			name = path
		}
		shape.Only = append(shape.Only, name)
	}
	for _, pair := range f.say {
		field, value, ok := strings.Cut(pair, "=")
		if !ok {
			return "", badFlag("--say", pair, "not FIELD=VALUE", "--say email=other@example.org")
		}
		if shape.Say == nil {
			shape.Say = map[string]string{}
		}
		shape.Say[field] = value
	}
	var err error
	if shape.From, err = dateFlag("--from", f.from, 0); err != nil {
		return "", err
	}
	if shape.To, err = dateFlag("--to", f.to, 24*time.Hour); err != nil {
		return "", err
	}
	return shape.Text(), nil
}

// dateFlag reads a day of this computer's time zone, of which whole is added,
// or a moment.
func dateFlag(flag, text string, whole time.Duration) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if day, err := time.ParseInLocation(time.DateOnly, text, time.Local); err == nil {
		return day.Add(whole), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, badFlag(flag, text, "neither a date nor a time of RFC 3339", flag+" 2026-12-24")
	}
	return at, nil
}

// shapeWords says what was made of a yes, for lists.
func shapeWords(text string) string {
	if text == "" {
		return ""
	}
	var s data.Shape
	if err := data.Decode(strings.NewReader(text), &s); err != nil {
		return " (shaped)"
	}
	var words []string
	add := func(what string, list []string) {
		if len(list) > 0 {
			words = append(words, what+" "+strings.Join(list, ", "))
		}
	}
	add("only", s.Only)
	add("other", slices.Sorted(maps.Keys(s.Say)))
	add("redacted", s.Redact)
	add("made up", s.MadeUp)
	for _, end := range []struct {
		word string
		at   time.Time
	}{{"from", s.From}, {"to", s.To}} {
		if !end.at.IsZero() {
			words = append(words, end.word+" "+end.at.Local().Format("2006-01-02 15:04"))
		}
	}
	return " (" + strings.Join(words, "; ") + ")"
}
