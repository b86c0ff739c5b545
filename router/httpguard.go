package router

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"sync/atomic"
)

const httpPort = 80

// httpGuard looks at every request of a connection, as one that is kept alive
// could name another host later on. It follows the bodies between the heads;
// where it loses the thread the flow is cut.
//
//	head ──> body of a length ──> head
//	  │ ───> chunk size ⇄ chunk, then trailer ──> head
//	  └ upgrade ──> waits for the answer ──> anything (after 101), or head
type httpGuard struct {
	host    string
	answers *answers
	state   httpState
	left    int64 // of a body or a chunk with its line end
	held    []byte
}

type httpState int

const (
	inHead httpState = iota
	inBody
	inChunkSize
	inChunk
	inTrailer
)

func (g *httpGuard) look(data []byte, end bool) (pass []byte, done bool, why reason) {
	if g.answers.upgraded() {
		return append(g.held, data...), true, dropNone
	}
	fresh := data
	if len(g.held) > 0 {
		g.held = append(g.held, data...)
		data = g.held
	}
	n := 0
	for n < len(data) && !g.answers.waiting() {
		// A head that comes byte by byte must not be read anew for each.
		if n == 0 && g.wantsLine() && len(data) <= maxHead && !end && len(fresh) > 0 && bytes.IndexByte(fresh, '\n') < 0 {
			break
		}
		m, why := g.step(data[n:])
		if why != dropNone {
			return nil, false, why
		}
		if m == 0 {
			break
		}
		n += m
	}
	switch {
	case n == len(data):
		g.held = nil
	case end || len(data)-n > 2*maxHead:
		return nil, false, cutHTTP
	case n > 0 || len(g.held) == 0:
		g.held = bytes.Clone(data[n:])
	}
	return data[:n], false, dropNone
}

// wantsLine says whether nothing can be done before the end of a line.
func (g *httpGuard) wantsLine() bool { return g.state != inBody && g.state != inChunk }

// step takes some bytes, none when it needs more of them.
func (g *httpGuard) step(b []byte) (int, reason) {
	switch g.state {
	case inHead:
		return g.stepHead(b)
	case inBody, inChunk:
		n := min(g.left, int64(len(b)))
		if g.left -= n; g.left == 0 {
			g.state = map[httpState]httpState{inBody: inHead, inChunk: inChunkSize}[g.state]
		}
		return int(n), dropNone
	}
	return g.stepLine(b)
}

func (g *httpGuard) stepHead(b []byte) (int, reason) {
	h, n, err := parseHead(b)
	switch {
	case errors.Is(err, errHeadPartial):
		return 0, dropNone
	case err != nil:
		return 0, cutHTTP
	case h.method == "CONNECT":
		return 0, cutConnect
	case !h.goesTo(g.host):
		return 0, cutHost
	}
	switch {
	case h.chunked:
		g.state = inChunkSize
	case h.length > 0:
		g.state, g.left = inBody, h.length
	case h.upgrade != "":
		// HTTP/2 would carry names that nobody looks at here.
		g.answers.await(h.upgrade != "h2c")
	}
	return n, dropNone
}

// stepLine reads a chunk's size or a line of the trailer.
func (g *httpGuard) stepLine(b []byte) (int, reason) {
	end := bytes.Index(b, []byte("\r\n"))
	if bad := badByte(b[:max(end, 0)]); bad || end < 0 && len(b) > maxHead {
		return 0, cutHTTP
	}
	if end < 0 {
		return 0, dropNone
	}
	if g.state == inTrailer {
		if end == 0 {
			g.state = inHead
		}
		return end + 2, dropNone
	}
	size, _, _ := strings.Cut(string(b[:end]), ";")
	n, err := strconv.ParseUint(strings.TrimRight(size, " \t"), 16, 62)
	if err != nil {
		return 0, cutHTTP
	}
	g.state, g.left = inChunk, int64(n)+2
	if n == 0 {
		g.state = inTrailer
	}
	return end + 2, dropNone
}

// answers watches for the answer to an upgrade. What the app says meanwhile
// waits, as only the answer tells whether it is another protocol.
type answers struct {
	state atomic.Int32
	seen  []byte // by the goroutine that reads the answers
}

const (
	answerNone int32 = iota
	answerAwaited
	answerAwaitedInVain // an upgrade that must not happen
	answerUpgraded
)

const switching = "HTTP/1.1 101"

func (a *answers) await(allowed bool) {
	if allowed {
		a.state.Store(answerAwaited)
	} else {
		a.state.Store(answerAwaitedInVain)
	}
}

// waiting may be called on nil, like see.
func (a *answers) waiting() bool {
	if a == nil {
		return false
	}
	state := a.state.Load()
	return state == answerAwaited || state == answerAwaitedInVain
}

func (a *answers) upgraded() bool { return a.state.Load() == answerUpgraded }

// noMore ends the wait for an answer that will not come.
func (a *answers) noMore() bool {
	if !a.waiting() {
		return false
	}
	a.state.Store(answerNone)
	return true
}

// see looks at what came down, and says whether an answer has been told.
func (a *answers) see(data []byte) bool {
	if !a.waiting() {
		return false
	}
	a.seen = append(a.seen, data[:min(len(data), len(switching)-len(a.seen))]...)
	switch {
	case !strings.HasPrefix(switching, string(a.seen)):
		a.state.Store(answerNone)
	case len(a.seen) < len(switching):
		return false
	case a.state.Load() == answerAwaited:
		a.state.Store(answerUpgraded)
	default:
		a.state.Store(answerNone) // what follows is no request: it will be cut
	}
	a.seen = nil
	return true
}
