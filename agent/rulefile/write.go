package rulefile

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/consentry/consentry/app"
)

// Write is the text that Parse reads the entries from.
func Write(entries []Entry) string {
	var b strings.Builder
	var current app.ID
	for _, e := range entries {
		if e.App != current {
			if b.Len() > 0 {
				b.WriteByte('\n')
			}
			fmt.Fprintf(&b, "app %s %s\n", quote(string(e.App)), quote(e.AppName))
			current = e.App
		}
		fmt.Fprintf(&b, "%-5s %s %s", e.Verdict, e.Kind, quote(e.Target))
		switch {
		case e.For > 0:
			fmt.Fprintf(&b, " for %s", e.For)
		case !e.Until.IsZero():
			fmt.Fprintf(&b, " until %s", e.Until.UTC().Format(time.RFC3339))
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// quote leaves a word alone that split takes as it is.
func quote(word string) string {
	plain := func(r rune) bool {
		return unicode.IsGraphic(r) && !unicode.IsSpace(r) && r != '"' && r != unicode.ReplacementChar
	}
	if word != "" && word[0] != '#' && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return strconv.Quote(word)
}
