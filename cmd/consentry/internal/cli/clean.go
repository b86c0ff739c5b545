package cli

import (
	"fmt"
	"io"
	"os"
	"unicode/utf8"
)

// maxEscape is the longest colour sequence that is passed on, in bytes.
const maxEscape = 32

// cleaner passes an app's output to a terminal with colours, but without what
// moves the cursor, sets titles, reads the screen back or turns text round:
// the terminal is also where questions are asked. An app that needs all of it
// is run with -t.
type cleaner struct {
	w    io.Writer
	rest []byte // a rune or a sequence that is not complete yet
}

func (c *cleaner) Write(p []byte) (int, error) {
	in := append(c.rest, p...)
	out := make([]byte, 0, len(in))
	for len(in) > 0 {
		text, used := cleanNext(in)
		if used == 0 {
			break
		}
		out, in = append(out, text...), in[used:]
	}
	c.rest = append([]byte(nil), in...)
	if _, err := c.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// flush writes what was kept back at the end of the output.
func (c *cleaner) flush() {
	for _, b := range c.rest {
		r := rune(b)
		if b >= utf8.RuneSelf {
			r = utf8.RuneError
		}
		text, _ := cleanRune(r, []byte{b})
		_, _ = c.w.Write(text)
	}
	c.rest = nil
}

// cleanNext returns the clean form of the first rune or sequence of in and its
// length; 0 means that more is needed.
func cleanNext(in []byte) ([]byte, int) {
	if in[0] == 0x1b {
		switch n := colourSequence(in); {
		case n > 0:
			return in[:n], n
		case n == 0:
			return nil, 0
		}
		return []byte("^["), 1
	}
	if !utf8.FullRune(in) {
		return nil, 0
	}
	r, n := utf8.DecodeRune(in)
	return cleanRune(r, in[:n])
}

func cleanRune(r rune, raw []byte) ([]byte, int) {
	switch {
	case r == '\n' || r == '\r' || r == '\t' || r == '\b':
		return raw, len(raw)
	case r < 0x20 || r == 0x7f:
		return []byte{'^', byte(r) ^ 0x40}, len(raw)
	case r == utf8.RuneError && len(raw) == 1:
		return []byte("\ufffd"), 1
	case r >= 0x80 && r < 0xa0, turns(r):
		return fmt.Appendf(nil, "<U+%04X>", r), len(raw)
	}
	return raw, len(raw)
}

// turns says whether r changes the direction of text (CVE-2021-42574).
func turns(r rune) bool {
	return r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069 || r == 0x200e || r == 0x200f || r == 0x061c
}

// colourSequence returns the length of the SGR sequence at the start of in, 0
// if it may become one, -1 if it is something else.
func colourSequence(in []byte) int {
	if len(in) >= 2 && in[1] != '[' {
		return -1
	}
	for i := 2; i < len(in) && i < maxEscape; i++ {
		switch b := in[i]; {
		case b == 'm':
			return i + 1
		case b >= '0' && b <= '9' || b == ';' || b == ':':
		default:
			return -1
		}
	}
	if len(in) >= maxEscape {
		return -1
	}
	return 0
}

// cleanOn returns f itself, or a cleaner if f is a terminal, and what to call
// at the end.
func (c *cli) cleanOn(f *os.File, s style) (io.Writer, func()) {
	if !s.terminal {
		return f, func() {}
	}
	clean := &cleaner{w: f}
	return clean, clean.flush
}
