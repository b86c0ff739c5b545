package portal

import (
	"strings"
	"testing"
)

func TestSniff(t *testing.T) {
	for text, want := range map[string]speech{
		"":                                     undecided,
		"G":                                    undecided,
		"GET /":                                undecided,
		"GET / HTTP/1.1\r\n":                   speaksHTTP,
		"GET / HTTP/1.1\n":                     speaksHTTP,
		"get / http/1.1\r\n":                   speaksHTTP,
		"POST http://x/ HTTP/1.0\r\nHost: x":   speaksHTTP,
		"M-SEARCH * HTTP/1.1\r\n":              speaksHTTP,
		"x!y / HTTP/9.9\r\n":                   speaksHTTP,
		"PRI * HTTP/2.0\r\n\r\nSM":             speaksOther,
		"GET /\r\n":                            speaksOther,
		"SET a b\r\n":                          speaksOther,
		"NICK ada\r\n":                         speaksOther,
		"*1\r\n$4\r\nPING\r\n":                 speaksOther,
		"\x00\x00\x00\x08\x04\xd2\x16\x2f":     speaksOther,
		"\x16":                                 undecided,
		"\x16\x03\x01\x02\x00":                 speaksTLS,
		"\x16\x05":                             speaksOther,
		"\r\nGET / HTTP/1.1\r\n":               speaksOther,
		"SSH-2.0-OpenSSH\r\n":                  speaksOther,
		strings.Repeat("A", 65):                speaksOther,
		"GET /" + strings.Repeat("a", maxLine): speaksHTTP,
	} {
		if got := sniff([]byte(text)); got != want {
			t.Errorf("%.40q: got %d, want %d", text, got, want)
		}
	}
	for text, want := range map[string]bool{
		"HTTP/1.1 200 OK\r\n": true, "xx http/1.1 200": true, "ICY 200 OK": true, "HT": true,
		"220 mail.example ESMTP\r\n": false, "SSH-2.0-OpenSSH_9.2\r\n": false, "\x4a\x00\x00\x00\x0a8.0.36\x00": false,
	} {
		if got := answersHTTP([]byte(text)); got != want {
			t.Errorf("%q is taken for an HTTP answer: %t", text, got)
		}
	}
}

func FuzzSniff(f *testing.F) {
	for _, seed := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SET a b\r\n", "\x16\x03\x01", "PRI * HTTP/2.0\r\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		// A verdict stands, however much more comes; and what is undecided has
		// not ended its first line.
		whole := sniff(head)
		for i := range min(len(head), 512) {
			if part := sniff(head[:i]); part != undecided && part != whole && len(head) < maxLine {
				t.Fatalf("%q is %d, and then %q is %d", head[:i], part, head, whole)
			}
		}
		if whole == undecided && strings.Contains(string(head), "\n") {
			t.Fatalf("%q is undecided", head)
		}
	})
}

func FuzzWithoutReports(f *testing.F) {
	f.Add("default-src 'self'; report-uri https://evil.example/r, img-src *; Report-To x")
	f.Fuzz(func(t *testing.T, policy string) {
		for list := range strings.SplitSeq(withoutReports(policy), ",") {
			for directive := range strings.SplitSeq(list, ";") {
				name := strings.ToLower(strings.TrimSpace(directive))
				if strings.HasPrefix(name, "report-uri") || strings.HasPrefix(name, "report-to") {
					t.Fatalf("%q is left of %q", directive, policy)
				}
			}
		}
	})
}
