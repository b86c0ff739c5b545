// Package skeleton tells names that look alike, by Unicode Technical Standard
// 39, section 4: two names with the same skeleton can be taken for each other.
// A skeleton is for comparing, never for showing.
package skeleton

import (
	_ "embed" // the table
	"fmt"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/text/unicode/norm"
)

//go:embed confusables.txt
var table string

var confusables = sync.OnceValue(func() map[rune]string {
	m, err := parse(table)
	if err != nil {
		panic("skeleton: " + err.Error()) // the table is part of the program, and a test reads it
	}
	return m
})

// Of is the skeleton of a name.
func Of(name string) string {
	looks := confusables()
	var b strings.Builder
	for _, r := range norm.NFD.String(name) {
		if as, there := looks[r]; there {
			b.WriteString(as)
		} else {
			b.WriteRune(r)
		}
	}
	return norm.NFD.String(b.String())
}

// Alike says whether two names can be taken for each other, in either case:
// "PayPaI" with a capital I, and "PAYPAL".
func Alike(a, b string) bool {
	return Of(a) == Of(b) || Of(strings.ToLower(a)) == Of(strings.ToLower(b))
}

// parse reads lines of "CODE CODE…" in hexadecimal; '#' starts a comment.
func parse(text string) (map[rune]string, error) {
	m := map[rune]string{}
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		var runes []rune
		for _, word := range words {
			code, err := strconv.ParseUint(word, 16, 21)
			if err != nil {
				return nil, fmt.Errorf("code point %q: %w", word, err)
			}
			runes = append(runes, rune(code)) //nolint:gosec // 21 bits
		}
		m[runes[0]] = string(runes[1:])
	}
	return m, nil
}
