package router

import (
	"errors"
	"strings"
)

// A flow that was dialled by name must also carry that name where its protocol
// has one: behind one address there may be many hosts, and the yes was for one.
//
//	port 443    a TLS client hello with the name, or the flow is cut
//	port 80     HTTP/1 requests, each for the name, or it is cut
//	elsewhere   TLS with another name and HTTP/1 requests for another are cut;
//	            what is neither passes
//
// Elsewhere means also: a protocol in which the server speaks first, and HTTP
// with a method that is not in upper case.

// guard looks at what an app says, before it goes out.
type guard interface {
	// look takes data, and whether the app says no more. It returns what may go
	// out now, whether it need not look at the rest, or why the flow is cut.
	look(data []byte, end bool) (pass []byte, done bool, why reason)
}

// errGuarded ends a flow that a guard has cut.
var errGuarded = errors.New("the app did not say what it was granted")

// guardOf returns the guard of a flow, nil when there is nothing to look at: an
// address that was granted as an address may be called by any name.
func guardOf(f *flow, a *answers) guard {
	switch {
	case f.network != "tcp" || f.to.name == nil:
		return nil
	case f.to.port == tlsPort:
		return &helloGuard{host: f.to.host}
	case f.to.port == httpPort:
		return &httpGuard{host: f.to.host, answers: a}
	}
	return &openGuard{host: f.to.host, answers: a}
}

// openGuard finds out what an app speaks.
type openGuard struct {
	host    string
	answers *answers
	held    []byte
	inner   guard
}

func (g *openGuard) look(data []byte, end bool) (pass []byte, done bool, why reason) {
	if g.inner != nil {
		return g.inner.look(data, end)
	}
	g.held = append(g.held, data...)
	switch spoken := recognise(g.held); {
	case spoken == speaksTLS:
		g.inner = &helloGuard{host: g.host, lenient: true}
	case spoken == speaksHTTP:
		g.inner = &httpGuard{host: g.host, answers: g.answers}
	case spoken == speaksUnknown && !end:
		return nil, false, dropNone
	default:
		return g.held, true, dropNone
	}
	return g.inner.look(g.held, end)
}

type spoken int

const (
	speaksOther   spoken = iota
	speaksUnknown        // more bytes are needed
	speaksTLS
	speaksHTTP
)

// maxMethod is the longest HTTP method that is waited for, in bytes.
const maxMethod = 20

// recognise looks at the first bytes. It waits only for what can still become a
// request: a protocol that is not HTTP must not be held up.
func recognise(b []byte) spoken {
	if len(b) == 0 {
		return speaksUnknown
	}
	if b[0] == tlsHandshake {
		switch {
		case len(b) == 1:
			return speaksUnknown
		case b[1] == 3:
			return speaksTLS
		}
		return speaksOther
	}
	for i, c := range b {
		switch {
		case 'A' <= c && c <= 'Z' && i < maxMethod:
		case c == ' ' && i > 0:
			return recogniseTarget(b[:i], b[i+1:])
		default:
			return speaksOther
		}
	}
	return speaksUnknown
}

// recogniseTarget looks at what follows a method: a path, a URL, or for CONNECT
// anything. "HELO host" of SMTP is neither.
func recogniseTarget(method, target []byte) spoken {
	switch {
	case string(method) == "CONNECT":
		return speaksHTTP
	case len(target) == 0:
		return speaksUnknown
	case target[0] == '/', target[0] == '*' && string(method) == "OPTIONS":
		return speaksHTTP
	}
	return recogniseURL(target)
}

// recogniseURL looks for http:// and https://, in any case of the letters.
func recogniseURL(target []byte) spoken {
	seen := speaksOther
	for _, scheme := range []string{"http://", "https://"} {
		n := min(len(scheme), len(target))
		switch {
		case !strings.EqualFold(scheme[:n], string(target[:n])):
		case n == len(scheme):
			return speaksHTTP
		default:
			seen = speaksUnknown
		}
	}
	return seen
}
