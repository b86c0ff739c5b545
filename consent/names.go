package consent

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent/skeleton"
)

// maxKnown is how many apps names are compared with: those with rules and
// those that have asked since the agent started. Later ones are not.
const maxKnown = 4096

// known is an app that the user has met.
type known struct {
	name   string // clean
	looks  string // its skeleton
	folded string // that of its name in small letters
}

func newKnown(name string) known {
	bare := unspelled(name)
	return known{name: name, looks: skeleton.Of(bare), folded: skeleton.Of(strings.ToLower(bare))}
}

// meet remembers the name of an app. mu is held.
func (e *Engine) meet(id app.ID, name string) {
	if old, there := e.known[id]; there && old.name == name || !there && len(e.known) >= maxKnown {
		return
	}
	e.known[id] = newKnown(name)
}

// looksLike warns if a known app that is another one has the same name, or one
// that can be taken for it. mu is held.
func (e *Engine) looksLike(id app.ID, name string) string {
	self := newKnown(name)
	var same bool
	var alike []string
	for other, k := range e.known {
		switch {
		case other == id:
		case k.name == name:
			same = true
		case k.looks == self.looks || k.folded == self.folded:
			alike = append(alike, k.name)
		}
	}
	switch {
	case len(alike) > 0:
		return fmt.Sprintf("The name looks like “%s”, but this is another app.", slices.Min(alike))
	case same:
		return "You know another app of this name. This one has other content: a new version, or something else."
	}
	return ""
}

// unspelled undoes what CleanName spells out, to compare what the name looked
// like before.
func unspelled(name string) string {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(name, "<U+")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		digits, after, closed := strings.Cut(rest, ">")
		code, err := strconv.ParseUint(digits, 16, 21)
		if !closed || err != nil {
			b.WriteString("<U+")
			name = rest
			continue
		}
		b.WriteRune(rune(code)) //nolint:gosec // 21 bits
		name = after
	}
}
