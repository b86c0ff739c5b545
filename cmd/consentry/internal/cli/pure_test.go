package cli

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client/clienttest"
)

func TestAsker(t *testing.T) {
	var a asker
	p := clienttest.Prompt()
	a.add(p)
	a.add(p)
	if len(a.queue) != 1 {
		t.Fatalf("%d questions for one", len(a.queue))
	}
	if _, choice := a.typed([]byte("1\r")); choice != nil {
		t.Error("a question that is not on the screen was answered")
	}
	a.show()
	if echo, choice := a.typed([]byte("1\r")); choice != nil || echo != "" {
		t.Error("the question was answered before it was live")
	}
	a.wake()
	for _, keys := range []string{"\r", "\n", "0\r", "6\r", "99\r", "y\r", "\x1b1\r", "\x1b[200~1\r\x1b[201~", "1\x1b[A\r", "1\x15\r", "1\x7f\r", " \r"} {
		if _, choice := a.typed([]byte(keys)); choice != nil {
			t.Errorf("%q chose %q", keys, choice.Label)
		}
	}
	for i, want := range p.Choices {
		if _, choice := a.typed([]byte{byte('1' + i), '\r'}); choice == nil || choice.Label != want.Label {
			t.Errorf("%d chose %v", i+1, choice)
		}
	}
	if !a.settle(p.ID) || a.settle(p.ID) {
		t.Error("settling says whether the question was on the screen")
	}
	if _, choice := a.typed([]byte("1\r")); choice != nil {
		t.Error("a question that was settled was answered")
	}
}

// A question that comes next is dead again, and takes nothing over.
func TestAskerNextQuestion(t *testing.T) {
	var a asker
	p := clienttest.Prompt()
	a.add(p)
	p.ID = "second"
	a.add(p)
	a.show()
	a.wake()
	a.typed([]byte("1"))
	a.settle(a.queue[0].ID)
	a.show()
	if _, choice := a.typed([]byte("\r")); choice != nil {
		t.Error("what was typed to the first answered the second")
	}
	a.wake()
	if _, choice := a.typed([]byte("\r")); choice != nil {
		t.Error("what was typed to the first stayed on the line")
	}
}

func TestCardShowsNothingThatSteers(t *testing.T) {
	p := clienttest.Prompt()
	evil := "x\x1b[2J\r\n  1  Allow\u202e\u200b\u0007"
	p.Title, p.Reason, p.App, p.Blast, p.Consequence, p.RunName = evil, evil, evil, evil, evil, evil
	p.Choices[0].Label = evil
	text := card(p, style{})
	for _, r := range text {
		if r != '\n' && unsafe(r) {
			t.Errorf("%U on the card", r)
		}
	}
	if n := strings.Count(text, "\n"); n != strings.Count(card(clienttest.Prompt(), style{}), "\n") {
		t.Errorf("the app's words made new lines:\n%s", text)
	}
}

func TestCleaner(t *testing.T) {
	for in, want := range map[string]string{
		"plain é 漢 👍\n":                          "plain é 漢 👍\n",
		"\x1b[1;31mred\x1b[0m":                   "\x1b[1;31mred\x1b[0m",
		"\x1b[38:2:1:2:3mx":                      "\x1b[38:2:1:2:3mx",
		"\x1b[2J\x1b[H":                          "^[[2J^[[H",
		"\x1b]52;c;AAAA\a":                       "^[]52;c;AAAA^G",
		"\x1bP+q\x1b\\":                          "^[P+q^[\\",
		"\x9b2J\xff":                             "\ufffd2J\ufffd",
		"a\u009b2Jb\u202ec":                      "a<U+009B>2Jb<U+202E>c",
		"\x1b[" + strings.Repeat("1;", 40) + "m": "^[[" + strings.Repeat("1;", 40) + "m",
		"ends in \x1b[3":                         "ends in ^[[3",
		"\x00\x7f":                               "^@^?",
	} {
		for _, step := range []int{1, 3, 1000} { // however it is cut
			var out bytes.Buffer
			c := &cleaner{w: &out}
			for rest := []byte(in); len(rest) > 0; {
				n := min(step, len(rest))
				if _, err := c.Write(rest[:n]); err != nil {
					t.Fatal(err)
				}
				rest = rest[n:]
			}
			c.flush()
			if out.String() != want {
				t.Errorf("%q in steps of %d: %q, want %q", in, step, out.String(), want)
			}
		}
	}
}

func FuzzCleaner(f *testing.F) {
	f.Add([]byte("\x1b[31mred\x1b[0m \x1b]0;t\a é\xc3"), 3)
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		cut = max(0, min(cut, len(in)))
		var out bytes.Buffer
		c := &cleaner{w: &out}
		_, _ = c.Write(in[:cut])
		_, _ = c.Write(in[cut:])
		c.flush()
		text := out.Bytes()
		if !utf8.Valid(text) {
			t.Fatalf("not UTF-8: %q", text)
		}
		for i, b := range text {
			if b == 0x1b && colourSequence(text[i:]) <= 0 {
				t.Fatalf("an escape that is no colour: %q", text[i:])
			}
			if b < 0x20 && !strings.ContainsRune("\n\r\t\b\x1b", rune(b)) {
				t.Fatalf("control character %#x", b)
			}
		}
	})
}

func TestGateHoldsAndKeepsTheOrder(t *testing.T) {
	g := newGate()
	var out bytes.Buffer
	w := g.through(&out)
	_, _ = io.WriteString(w, "a")
	g.hold()
	_, _ = io.WriteString(w, "b")
	_, _ = io.WriteString(g.over(&out), "ours")
	if out.String() != "a" {
		t.Fatalf("%q came through a closed gate", out.String())
	}
	big := strings.Repeat("x", heldBytes)
	done := make(chan struct{})
	go func() { defer close(done); _, _ = io.WriteString(w, big) }()
	select {
	case <-done:
		t.Error("more than heldBytes were kept")
	case <-time.After(50 * time.Millisecond):
	}
	g.release()
	<-done
	if out.String() != "abours"+big {
		t.Error("the order changed")
	}
}

func TestDetachKeysFilter(t *testing.T) {
	for _, c := range []struct {
		in   []string
		want string
		left bool
	}{
		{[]string{"abc"}, "abc", false},
		{[]string{"a\x10b"}, "a\x10b", false},
		{[]string{"a\x10", "b"}, "a\x10b", false},
		{[]string{"\x10\x10", "\x11"}, "\x10", true},
		{[]string{"a\x10\x11b"}, "a", true},
		{[]string{"\x11"}, "\x11", false},
	} {
		var d detachKeys
		got := ""
		for _, chunk := range c.in {
			got += string(d.filter([]byte(chunk)))
		}
		if got != c.want || d.left != c.left {
			t.Errorf("%q: %q, left %v", c.in, got, d.left)
		}
	}
}

func TestHumanWords(t *testing.T) {
	now := clienttest.Now
	for d, want := range map[time.Duration]string{
		0: "less than a second ago", time.Second: "1 second ago", 59 * time.Minute: "59 minutes ago", 25 * time.Hour: "1 day ago",
		15 * 24 * time.Hour: "2 weeks ago", 400 * 24 * time.Hour: "1 year ago", -2 * time.Hour: "in 2 hours",
	} {
		if got := ago(now, now.Add(-d)); got != want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "0B", 999: "999B", 1000: "1kB", 12_345_678: "12.3MB", 999_999: "1MB", 5e15: "5PB"} {
		if got := size(n); got != want {
			t.Errorf("%d: %q, want %q", n, got, want)
		}
	}
}

func TestMemoryWords(t *testing.T) {
	for text, want := range map[string]int64{"512m": 512 << 20, "1g": 1 << 30, "1.5GiB": 3 << 29, "100": 100, "64kb": 64 << 10, "7b": 7} {
		if got, err := parseMemory(text); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "m", "-1m", "1x", "1mm", "NaN", "Inf", "1e30g", "0", "0x10"} {
		if got, err := parseMemory(text); err == nil {
			t.Errorf("%q is %d", text, got)
		}
	}
}

func TestExitCodes(t *testing.T) {
	for err, want := range map[error]int{
		&api.Error{Code: api.CodeCommandNotFound}:      127,
		&api.Error{Code: api.CodeCommandNotExecutable}: 126,
		&api.Error{Code: "denied"}:                     125,
		errors.New("x"):                                125,
	} {
		if got := ownCode(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}

func TestVoucher(t *testing.T) {
	for publisher, want := range map[string]string{
		"": "", "docker.io/library/web": "docker.io/library/web", "key:ab": "the holder of key ab",
		"key:0123456789abcdef0123456789abcdef": "the holder of key 0123456789abcdef",
	} {
		if got := voucher(publisher); got != want {
			t.Errorf("%q: %q", publisher, got)
		}
	}
}
