package router

import (
	"bytes"
	"strconv"
	"strings"
)

// A request head is read the strict way (RFC 9112): where two servers could
// read it differently, it is refused. That is what request smuggling lives on.

// maxHead bounds a request head, and a line between chunks, in bytes.
const maxHead = 32 << 10

type headError string

func (e headError) Error() string { return string(e) }

// errHeadPartial asks for more bytes; every other error is for good.
const errHeadPartial = headError("the request head is not whole yet")

// requestHead is what of a request says where it goes and how long it is.
type requestHead struct {
	method, target string
	hosts          []string // values of Host fields
	http10         bool
	length         int64 // -1 without a Content-Length
	chunked        bool
	upgrade        string // lower case; "" for none
}

// parseHead reads the head that b begins with and returns its length.
func parseHead(b []byte) (requestHead, int, error) {
	end := bytes.Index(b, []byte("\r\n\r\n"))
	if bad := badByte(b[:max(end, 0)]); bad || end > maxHead {
		return requestHead{}, 0, headError("control characters in a request head, or no end of it")
	}
	if end < 0 {
		if len(b) > maxHead || badByte(b) {
			return requestHead{}, 0, headError("control characters in a request head, or no end of it")
		}
		return requestHead{}, 0, errHeadPartial
	}
	line, fields, _ := strings.Cut(string(b[:end]), "\r\n")
	h, err := parseRequestLine(line)
	if err != nil {
		return requestHead{}, 0, err
	}
	for field := range strings.SplitSeq(fields, "\r\n") {
		if fields == "" {
			break
		}
		if err := h.take(field); err != nil {
			return requestHead{}, 0, err
		}
	}
	if h.chunked && h.length >= 0 {
		return requestHead{}, 0, headError("a length and chunks")
	}
	return h, end + len("\r\n\r\n"), nil
}

// badByte finds NUL, and CR or LF without the other: some take them for the end
// of a line. A CR at the very end may still get its LF.
func badByte(b []byte) bool {
	for i, c := range b {
		switch {
		case c == 0,
			c == '\n' && (i == 0 || b[i-1] != '\r'),
			c == '\r' && i+1 < len(b) && b[i+1] != '\n':
			return true
		}
	}
	return false
}

func parseRequestLine(line string) (requestHead, error) {
	parts := strings.Split(line, " ")
	if len(parts) != 3 || !isToken(parts[0]) || parts[1] == "" || strings.ContainsAny(line, "\t\r\n") {
		return requestHead{}, headError("not a request line")
	}
	if parts[2] != "HTTP/1.1" && parts[2] != "HTTP/1.0" {
		return requestHead{}, headError("neither HTTP/1.0 nor HTTP/1.1")
	}
	return requestHead{method: parts[0], target: parts[1], http10: parts[2] == "HTTP/1.0", length: -1}, nil
}

// take reads one field line.
func (h *requestHead) take(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !isToken(name) { // a folded line, or a space before the colon
		return headError("not a field line")
	}
	value = strings.Trim(value, " \t")
	switch strings.ToLower(name) {
	case "host":
		h.hosts = append(h.hosts, value)
	case "content-length":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil || value[0] == '+' || n < 0 || h.length >= 0 {
			return headError("bad or repeated Content-Length")
		}
		h.length = n
	case "transfer-encoding":
		if !strings.EqualFold(value, "chunked") || h.chunked || h.http10 {
			return headError("a transfer encoding other than chunked")
		}
		h.chunked = true
	case "upgrade":
		h.upgrade = strings.ToLower(value)
	}
	return nil
}

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return s != ""
}

// goesTo says whether the request is for host and for no other, in its Host
// field and in its target.
func (h requestHead) goesTo(host string) bool {
	if len(h.hosts) > 1 || len(h.hosts) == 0 && !h.http10 {
		return false
	}
	if len(h.hosts) == 1 && !sameHost(hostPart(h.hosts[0]), host) {
		return false
	}
	if h.target[0] == '/' || h.target == "*" && h.method == "OPTIONS" {
		return true
	}
	scheme, rest, ok := strings.Cut(h.target, "://")
	if !ok || !strings.EqualFold(scheme, "http") {
		return false
	}
	authority := rest
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority = rest[:i]
	}
	return !strings.ContainsAny(authority, `@\`) && sameHost(hostPart(authority), host)
}

// hostPart takes the port off an authority.
func hostPart(authority string) string {
	if inside, ok := strings.CutPrefix(authority, "["); ok {
		host, rest, closed := strings.Cut(inside, "]")
		if !closed || rest != "" && !isPort(rest) {
			return ""
		}
		return host
	}
	host, port, found := strings.Cut(authority, ":")
	if found && !isPort(":"+port) {
		return ""
	}
	return host
}

func isPort(s string) bool {
	_, err := strconv.ParseUint(strings.TrimPrefix(s, ":"), 10, 16)
	return err == nil || s == ":"
}
