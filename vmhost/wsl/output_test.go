package wsl

import (
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"plain\r\n":                    "plain\n",
		"\xff\xfea\x00\r\x00\n\x00":    "a\n",
		"a\x00b\x00":                   "ab",
		"\x2d\x4e\x87\x65\r\x00\n\x00": "中文\n",
		"\xff":                         "?",
		"a\x1b[31mb":                   "a[31mb",
	} {
		if got := text([]byte(in)); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
}

// FuzzOutput: what Windows prints, whatever it is, is text that is fit for a
// terminal, and versions and rules are taken from it or not.
func FuzzOutput(f *testing.F) {
	f.Add([]byte("WSL version: 2.6.1.0\r\nKernel version: 6.6.87.2-1\r\n"))
	f.Add([]byte("\xff\xfeW\x00S\x00L\x00"))
	f.Add([]byte("127.0.0.1       8080        172.23.64.5     8080\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out := text(raw)
		if !utf8.ValidString(out) || strings.ContainsAny(out, "\x1b\r\x00\b") {
			t.Errorf("%q is %q", raw, out)
		}
		parseVersions(out)
		for _, e := range parseRules(out) {
			if !strings.Contains(out, strconv.Itoa(int(e.rule.Port))) || !strings.Contains(out, e.address) {
				t.Errorf("%q has the rule %+v", out, e)
			}
		}
	})
}
