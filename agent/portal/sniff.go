package portal

import (
	"bytes"
	"strings"
)

// speech is what the first bytes of a client are.
type speech int

const (
	undecided speech = iota
	speaksHTTP
	speaksTLS
	speaksOther
)

// maxLine is how much of a request line is looked at, in bytes.
const maxLine = 8 << 10

// sniff tells HTTP/1 by its request line, TLS by the first bytes of a record.
// It is undecided while more bytes could make it HTTP.
func sniff(head []byte) speech {
	switch {
	case len(head) == 0:
		return undecided
	case head[0] == 0x16: //nolint:mnd // a handshake record
		if len(head) == 1 {
			return undecided
		}
		if head[1] == 3 { //nolint:mnd // SSL 3 and every TLS
			return speaksTLS
		}
		return speaksOther
	}
	line, _, whole := bytes.Cut(head, []byte("\n"))
	method, rest, spaced := bytes.Cut(line, []byte(" "))
	switch {
	case !isToken(method) || len(method) > 64: //nolint:mnd // longer than any method
		return speaksOther
	case !whole && len(head) < maxLine:
		return undecided
	case !whole: // a line that has no end is for the server to refuse
		return speaksHTTP
	case spaced && isRequestLine(rest) && string(method) != "PRI": // HTTP/2 that was agreed on before: no browser does it
		return speaksHTTP
	}
	return speaksOther
}

// isRequestLine looks at what follows the method.
func isRequestLine(rest []byte) bool {
	i := bytes.LastIndex(rest, []byte(" "))
	return i >= 0 && bytes.HasPrefix(bytes.ToUpper(rest[i+1:]), []byte("HTTP/"))
}

// isToken is the tchar of RFC 9110, section 5.6.2.
func isToken(text []byte) bool {
	for _, c := range text {
		if c <= ' ' || c >= 0x7f || strings.IndexByte(`"(),/:;<=>?@[\]{}`, c) >= 0 {
			return false
		}
	}
	return len(text) > 0
}

// answersHTTP says whether the first bytes of an app, sent before its client
// said anything, could be an HTTP answer to a browser. Browsers forgive a few
// bytes of rubbish before the status line, and the name of another protocol in
// its place.
func answersHTTP(head []byte) bool {
	start := bytes.ToLower(head[:min(len(head), 16)]) //nolint:mnd // more than any browser skips
	return len(start) < 8 || bytes.Contains(start, []byte("http")) || bytes.Contains(start, []byte("icy"))
}
