package consent

import (
	"errors"
	"fmt"
	"strings"
)

// Bounds of a target's text, in bytes.
const (
	maxTarget = 4096
	maxFields = 64
)

// want is a request's target, taken apart. It holds no memory of its own.
type want struct {
	host  host   // net.connect
	port  uint16 // net.connect, net.listen
	proto protocol
	text  string // every other kind: the canonical text
}

// scope is what a rule covers, taken apart: the keys it stands under, and what
// else must match.
type scope struct {
	hosts  []host   // net.connect: one
	keys   []string // every other kind; data: one for each field
	lo, hi uint16   // ports, both included
	proto  protocol
}

// form is how targets of a kind are written.
type form struct {
	canonical func(string) (string, error)        // what an app said → canonical text
	take      func(string) (want, error)          // canonical text → parts, without memory
	scope     func(string) (scope, string, error) // a rule's text → parts and canonical text
}

var forms = map[Kind]*form{
	NetConnect: {canonicalNet, takeNet, scopeNet},
	NetListen:  {canonicalListen, takeListen, scopeListen},
	FileRead:   {canonicalPath, takeText, scopePath},
	FileWrite:  {canonicalPath, takeText, scopePath},
	URLOpen:    {canonicalURL, takeText, scopeURL},
	Notify:     {canonicalNotify, takeText, textScope(canonicalNotify)},
	SecretUse:  {canonicalSecret, takeText, textScope(canonicalSecret)},
	WallWaive:  {canonicalSecret, takeText, textScope(canonicalSecret)},
	AnyKind:    anyForm,
}

var dataForm = &form{canonicalFields, takeText, scopeFields}

// formOf is nil for a kind that is not known.
func formOf(k Kind) *form {
	if f := forms[k]; f != nil {
		return f
	}
	if name, ok := strings.CutPrefix(string(k), DataPrefix); ok && isWord(name, 32) {
		return dataForm
	}
	return nil
}

// IsData says whether the kind is one of the user's data.
func (k Kind) IsData() bool { return formOf(k) == dataForm }

// Canonical returns the one way in which a request for target is written, or
// an error if no such thing can be asked for.
func Canonical(k Kind, target string) (string, error) {
	f, err := checkForm(k, target)
	if err != nil {
		return "", err
	}
	text, err := f.canonical(target)
	if err != nil {
		return "", fmt.Errorf("%s target %.80q: %w", k, target, err)
	}
	return text, nil
}

// CanonicalRule does the same for what a rule covers, which may be wider than
// a request: "tcp/*.example.com:443", "any/10.0.0.0/8:*", "docs".
func CanonicalRule(k Kind, target string) (string, error) {
	_, text, err := parseScope(k, target)
	return text, err
}

func parseScope(k Kind, target string) (scope, string, error) {
	f, err := checkForm(k, target)
	if err != nil {
		return scope{}, "", err
	}
	s, text, err := f.scope(target)
	if err != nil {
		return scope{}, "", fmt.Errorf("%s target %.80q: %w", k, target, err)
	}
	return s, text, nil
}

func checkForm(k Kind, target string) (*form, error) {
	f := formOf(k)
	if f == nil {
		return nil, fmt.Errorf("kind %.40q is not one that can be granted", k)
	}
	if len(target) > maxTarget {
		return nil, fmt.Errorf("%s target of %d bytes, more than %d", k, len(target), maxTarget)
	}
	return f, nil
}

func takeText(text string) (want, error) {
	if text == "" {
		return want{}, errors.New("empty")
	}
	return want{text: text}, nil
}

// textScope is for kinds whose rules cover exactly one thing.
func textScope(canonical func(string) (string, error)) func(string) (scope, string, error) {
	return func(text string) (scope, string, error) {
		text, err := canonical(text)
		if err != nil {
			return scope{}, "", err
		}
		return scope{keys: []string{text}}, text, nil
	}
}

// isWord says whether s is 1 to n of a-z, 0-9, '-', '_', starting with a letter.
func isWord(s string, n int) bool {
	if s == "" || len(s) > n || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isLowerAlnum(c) && c != '-' && c != '_' {
			return false
		}
	}
	return true
}

func isLowerAlnum(c byte) bool { return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' }
