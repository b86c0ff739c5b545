package consent

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Bounds of cleaned text.
const (
	maxRunes = 200
	maxBytes = 4 << 10 // what is looked at
	maxMarks = 3       // combining marks on one letter
)

// CleanText makes an app's words fit to be shown: one line of at most 200
// runes, without control, format (bidi, zero-width), private and unassigned
// characters; compatibility forms are folded and what is no UTF-8 becomes
// U+FFFD.
func CleanText(text string) string {
	if len(text) > maxBytes {
		text = text[:maxBytes]
	}
	text = norm.NFKC.String(drop(strings.ToValidUTF8(text, "\uFFFD")))
	return clip(drop(text))
}

// CleanName is CleanText for names. A name that mixes Latin letters with
// others is shown with the others spelled out, so that a Cyrillic а in
// "pаypal" is seen. A name wholly in another script passes: the digest beside
// it tells such apps apart.
func CleanName(name string) string {
	name = CleanText(name)
	if mixesScripts(name) {
		name = clip(spellOut(name))
	}
	if name == "" {
		return "unnamed app"
	}
	return name
}

// drop keeps what has a shape, with single spaces between.
func drop(text string) string {
	var b strings.Builder
	space, marks := false, 0
	for _, r := range text {
		if isBlank(r) {
			space = true
			continue
		}
		if hasNoShape(r) {
			continue
		}
		if strings.ContainsRune(ourQuotes, r) {
			r = '"'
		}
		if unicode.Is(unicode.M, r) {
			if marks++; marks > maxMarks {
				continue
			}
		} else {
			marks = 0
		}
		if space && b.Len() > 0 {
			b.WriteByte(' ')
		}
		space = false
		b.WriteRune(r)
	}
	return b.String()
}

// ourQuotes are those that an app's words are shown in: words with such quotes
// in them could seem to end before they do.
const ourQuotes = "“”„‟"

func isBlank(r rune) bool {
	switch r {
	case '\t', '\n', '\v', '\f', '\r', '\u0085', '\u2800': // the last is an empty Braille cell
		return true
	}
	return unicode.Is(unicode.Z, r)
}

func hasNoShape(r rune) bool {
	return !unicode.IsGraphic(r) ||
		unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) ||
		unicode.Is(unicode.Variation_Selector, r)
}

func clip(text string) string {
	if utf8.RuneCountInString(text) <= maxRunes {
		return text
	}
	runes := []rune(text)
	return strings.TrimRight(string(runes[:maxRunes-1]), " ") + "…"
}

func mixesScripts(text string) bool {
	latin, other := false, false
	for _, r := range text {
		latin = latin || unicode.Is(unicode.Latin, r)
		other = other || isForeignLetter(r)
	}
	return latin && other
}

func isForeignLetter(r rune) bool {
	return unicode.IsLetter(r) && !unicode.Is(unicode.Latin, r)
}

const hexDigits = "0123456789ABCDEF"

func spellOut(text string) string {
	var b strings.Builder
	for _, r := range text {
		if isForeignLetter(r) {
			writeCodePoint(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// writeCodePoint writes "<U+0430>".
func writeCodePoint(b *strings.Builder, r rune) {
	b.WriteString("<U+")
	shift := 12
	for r>>(shift+4) != 0 {
		shift += 4
	}
	for ; shift >= 0; shift -= 4 {
		b.WriteByte(hexDigits[r>>shift&15])
	}
	b.WriteByte('>')
}

// showTarget is a canonical target as it stands in a title: what has no shape,
// or turns the line round, is spelled out, and the middle of a long one left out.
func showTarget(target string) string {
	var b strings.Builder
	for _, r := range target {
		if r != ' ' && (isBlank(r) || hasNoShape(r)) {
			writeCodePoint(&b, r)
		} else {
			b.WriteRune(r)
		}
	}
	runes := []rune(b.String())
	if len(runes) <= maxRunes {
		return string(runes)
	}
	half := (maxRunes - 1) / 2
	return string(runes[:half]) + "…" + string(runes[len(runes)-half:])
}
