package rulefile

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

// Bounds of a file; one that exceeds them is refused.
const (
	MaxFile    = 1 << 20 // bytes
	maxEntries = 5_000
	maxErrors  = 10 // that are told
	maxAppID   = 1024
)

// Entry is one rule of a file.
type Entry struct {
	Line    int    // in the file, from 1
	App     app.ID // "" before the first app line
	AppName string
	Verdict consent.Verdict
	Kind    consent.Kind
	Target  string        // canonical
	For     time.Duration // 0: not given
	Until   time.Time     // zero: not given
}

// Parse reads a file. The error names the lines that are wrong, the first ten.
func Parse(text []byte) ([]Entry, error) {
	if len(text) > MaxFile {
		return nil, fmt.Errorf("%d bytes of rules, more than %d", len(text), MaxFile)
	}
	if !utf8.Valid(text) {
		return nil, errors.New("the rules are not UTF-8")
	}
	p := parser{seen: map[Entry]int{}}
	for line := range bytes.Lines(text) {
		p.line++
		if err := p.read(strings.TrimRight(string(line), "\r\n")); err != nil {
			p.wrong = append(p.wrong, fmt.Errorf("line %d: %w", p.line, err))
		}
		if len(p.wrong) == maxErrors {
			break
		}
	}
	if err := errors.Join(p.wrong...); err != nil {
		return nil, err
	}
	return p.entries, nil
}

type parser struct {
	line    int
	app     app.ID
	name    string
	entries []Entry
	seen    map[Entry]int // line by what a rule is about
	wrong   []error
}

func (p *parser) read(line string) error {
	words, err := split(line)
	if err != nil || len(words) == 0 {
		return err
	}
	switch words[0] {
	case "app":
		return p.header(words[1:])
	case consent.Allow.String():
		return p.rule(consent.Allow, words[1:])
	case consent.Deny.String():
		return p.rule(consent.Deny, words[1:])
	}
	return fmt.Errorf("%.20q is not allow, deny or app", words[0])
}

func (p *parser) header(words []string) error {
	if len(words) < 1 || len(words) > 2 || words[0] == "" || len(words[0]) > maxAppID {
		return errors.New("want: app ID NAME")
	}
	if strings.ContainsFunc(words[0], func(r rune) bool { return !unicode.IsGraphic(r) }) {
		return fmt.Errorf("the app's id %.80q has a character that cannot be seen", words[0])
	}
	p.app, p.name = app.ID(words[0]), consent.CleanName(words[len(words)-1])
	return nil
}

func (p *parser) rule(v consent.Verdict, words []string) error {
	if len(words) != 2 && len(words) != 4 {
		return errors.New("want: allow|deny KIND TARGET [for TIME | until DATE]")
	}
	e := Entry{App: p.app, Kind: consent.Kind(words[0])}
	if e.Kind == consent.WallWaive {
		return errors.New("a wall is waived when an app is started (consentry run --waive), not by a file")
	}
	var err error
	if e.Target, err = consent.CanonicalRule(e.Kind, words[1]); err != nil {
		return err
	}
	if first := p.seen[e]; first != 0 {
		return fmt.Errorf("%s %s stands in line %d already", e.Kind, e.Target, first)
	}
	p.seen[e] = p.line
	e.Line, e.AppName, e.Verdict = p.line, p.name, v
	if len(words) == 4 {
		if err := e.lasts(words[2], words[3]); err != nil {
			return err
		}
	}
	if len(p.entries) == maxEntries {
		return fmt.Errorf("more than %d rules", maxEntries)
	}
	p.entries = append(p.entries, e)
	return nil
}

func (e *Entry) lasts(word, value string) (err error) {
	switch word {
	case "for":
		if e.For, err = time.ParseDuration(value); err == nil && e.For <= 0 {
			err = errors.New("is not more than nothing")
		}
	case "until":
		e.Until, err = time.Parse(time.RFC3339, value)
		e.Until = e.Until.UTC().Truncate(time.Second)
		if year := e.Until.Year(); err == nil && (year < 2000 || year > 9000) {
			err = errors.New("is no date that can be meant")
		}
	default:
		err = errors.New("want for or until before it")
	}
	if err != nil {
		return fmt.Errorf("%.40q after %.20q: %w", value, word, err)
	}
	return nil
}

// split takes a line apart into words.
func split(line string) ([]string, error) {
	var words []string
	for {
		line = strings.TrimLeft(line, " \t")
		if line == "" || line[0] == '#' {
			return words, nil
		}
		var word string
		if line[0] == '"' {
			quoted, err := strconv.QuotedPrefix(line)
			if err != nil {
				return nil, errors.New("a quotation mark has no partner")
			}
			if word, err = strconv.Unquote(quoted); err != nil {
				return nil, errors.New("a quoted word is not as in Go")
			}
			line = line[len(quoted):]
			if line != "" && line[0] != ' ' && line[0] != '\t' {
				return nil, errors.New("no space after a quoted word")
			}
		} else {
			end := strings.IndexAny(line, " \t")
			if end < 0 {
				end = len(line)
			}
			word, line = line[:end], line[end:]
		}
		words = append(words, word)
	}
}
