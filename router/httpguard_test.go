package router

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"strings"
	"testing"
)

// say gives a guard what an app says, in pieces of size bytes.
func say(g guard, text string, size int) (out string, why reason) {
	for rest := text; ; {
		n := min(size, len(rest))
		pass, done, why := g.look([]byte(rest[:n]), n == len(rest))
		if why != dropNone {
			return out, why
		}
		out, rest = out+string(pass), rest[n:]
		if done {
			return out + rest, dropNone
		}
		if rest == "" {
			return out, dropNone
		}
	}
}

const get = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"

func TestRequestsForAnotherHostAreCut(t *testing.T) {
	for _, c := range []struct {
		name, text string
		why        reason
	}{
		{"one", get, dropNone},
		{"nothing", "", dropNone},
		{"port and capitals", "GET / HTTP/1.1\r\nhOsT:\tA.Example.:80 \r\n\r\n", dropNone},
		{"three in a row", get + get + get, dropNone},
		{"another host", "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", cutHost},
		{"another host on a kept connection", get + "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", cutHost},
		{"below the host", "GET / HTTP/1.1\r\nHost: x.a.example\r\n\r\n", cutHost},
		{"an address", "GET / HTTP/1.1\r\nHost: 1.2.3.4\r\n\r\n", cutHost},
		{"an address in brackets", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", cutHost},
		{"two hosts", "GET / HTTP/1.1\r\nHost: a.example\r\nHost: b.example\r\n\r\n", cutHost},
		{"the host twice", "GET / HTTP/1.1\r\nHost: a.example\r\nHost: a.example\r\n\r\n", cutHost},
		{"no host", "GET / HTTP/1.1\r\n\r\n", cutHost},
		{"no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", dropNone},
		{"whole target", "GET http://a.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", dropNone},
		{"whole target elsewhere", "GET http://b.example/x HTTP/1.1\r\nHost: a.example\r\n\r\n", cutHost},
		{"user in the target", "GET http://a.example@b.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", cutHost},
		{"another scheme", "GET ftp://a.example/ HTTP/1.1\r\nHost: a.example\r\n\r\n", cutHost},
		{"star", "OPTIONS * HTTP/1.1\r\nHost: a.example\r\n\r\n", dropNone},
		{"CONNECT", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example\r\n\r\n", cutConnect},
		{"after a body", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nhello" + get, dropNone},
		{"hidden in a body", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\n\r\nGET /" + get, dropNone},
		{"behind a body, another", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 2\r\n\r\nokGET / HTTP/1.1\r\nHost: b.example\r\n\r\n", cutHost},
		{"chunks", "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nTrailer: 1\r\n\r\n" + get, dropNone},
		{"behind chunks, another", "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET / HTTP/1.1\r\nHost: b.example\r\n\r\n", cutHost},
		{"bad chunk", "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", cutHTTP},
		{"length and chunks", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", cutHTTP},
		{"two lengths", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\n", cutHTTP},
		{"signed length", "POST / HTTP/1.1\r\nHost: a.example\r\nContent-Length: +5\r\n\r\n", cutHTTP},
		{"another encoding", "POST / HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: xchunked\r\n\r\n", cutHTTP},
		{"folded line", "GET / HTTP/1.1\r\nHost: a.example\r\n b.example\r\n\r\n", cutHTTP},
		{"space before the colon", "GET / HTTP/1.1\r\nHost : a.example\r\n\r\n", cutHTTP},
		{"bare line feeds", "GET / HTTP/1.1\nHost: a.example\n\n", cutHTTP},
		{"bare carriage return", "GET / HTTP/1.1\r\nHost: a.example\rX: y\r\n\r\n", cutHTTP},
		{"NUL", "GET / HTTP/1.1\r\nHost: a.example\x00\r\n\r\n", cutHTTP},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", cutHTTP},
		{"HTTP/0.9", "GET /\r\n\r\n", cutHTTP},
		{"TLS", "\x16\x03\x01\x00\x05hello\r\n\r\n", cutHTTP},
		{"half a head", "GET / HTTP/1.1\r\nHost: a.ex", cutHTTP},
		{"endless head", "GET / HTTP/1.1\r\nX: " + strings.Repeat("x", 4*maxHead), cutHTTP},
	} {
		for _, size := range []int{1, 7, 1 << 20} {
			g := &httpGuard{host: "a.example", answers: new(answers)}
			out, why := say(g, c.text, size)
			if why != c.why {
				t.Errorf("%s in pieces of %d: %q, want %q", c.name, size, reasonNames[why], reasonNames[c.why])
			}
			if why == dropNone && out != c.text {
				t.Errorf("%s in pieces of %d: %q went out", c.name, size, out)
			}
			if why == cutHost && strings.Contains(out, "b.example") {
				t.Errorf("%s in pieces of %d: the other name went out", c.name, size)
			}
		}
	}
}

func TestOtherPorts(t *testing.T) {
	for _, c := range []struct {
		name, text string
		why        reason
	}{
		{"a greeting", "EHLO me\r\n", dropNone},
		{"Redis", "PING\r\n", dropNone},
		{"one capital letter", "Q", dropNone},
		{"binary", "\x00\x01\x02", dropNone},
		{"HTTP", get, dropNone},
		{"HTTP for another", strings.Replace(get, "a.example", "b.example", 1), cutHost},
		{"HTTP with a method of its own", strings.Replace(get, "GET / HTTP/1.1\r\nHost: a", "MAKE / HTTP/1.1\r\nHost: b", 1), cutHost},
		{"CONNECT", "CONNECT b.example:443 HTTP/1.1\r\nHost: b.example:443\r\n\r\n", cutConnect},
		{"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", dropNone},
		{"TLS", string(realHello(t, "a.example")), dropNone},
		{"TLS for another", string(realHello(t, "b.example")), cutTLS},
		{"TLS without a name", string(realHello(t, "")), dropNone},
		{"no TLS after all", "\x16\x03\x01\x00\x05hello", dropNone},
	} {
		for _, size := range []int{1, 1 << 20} {
			g := &openGuard{host: "a.example", answers: new(answers)}
			out, why := say(g, c.text, size)
			if why != c.why || why == dropNone && out != c.text {
				t.Errorf("%s in pieces of %d: %q, %q went out, want %q", c.name, size, reasonNames[why], out, reasonNames[c.why])
			}
		}
	}
}

func TestUpgradeWaitsForTheAnswer(t *testing.T) {
	upgrade := "GET /ws HTTP/1.1\r\nHost: a.example\r\nConnection: Upgrade\r\nUpgrade: "
	for _, c := range []struct {
		name, token, answer, then string
		why                       reason
	}{
		{"agreed", "websocket", "HTTP/1.1 101 Switching Protocols\r\n", "\x81\x05hello", dropNone},
		{"refused, goes on", "websocket", "HTTP/1.1 200 OK\r\n", get, dropNone},
		{"refused, another host", "websocket", "HTTP/1.1 200 OK\r\n", "GET / HTTP/1.1\r\nHost: b.example\r\n\r\n", cutHost},
		{"refused, frames", "websocket", "HTTP/1.1 400 Bad Request\r\n", "\x81\x05hello\r\n\r\n", cutHTTP},
		{"HTTP/2", "h2c", "HTTP/1.1 101 Switching Protocols\r\n", "PRI * HTTP/2.0\r\n\r\n", cutHTTP},
	} {
		a := new(answers)
		g := &httpGuard{host: "a.example", answers: a}
		pass, _, _ := g.look([]byte(upgrade+c.token+"\r\n\r\n"+c.then), false)
		if strings.Contains(string(pass), c.then) || !a.waiting() {
			t.Errorf("%s: %q went out before the answer", c.name, pass)
		}
		told := false
		for _, b := range []byte(c.answer) {
			told = a.see([]byte{b}) || told
		}
		pass, _, why := g.look(nil, false)
		if !told || why != c.why || why == dropNone && string(pass) != c.then {
			t.Errorf("%s: told %v, %q, %q went out", c.name, told, reasonNames[why], pass)
		}
	}
}

// FuzzHTTPHead: what is taken for a request is the same request to another
// parser, of the same length, for the same host.
func FuzzHTTPHead(f *testing.F) {
	f.Add([]byte(get))
	f.Add([]byte("POST http://a.example/ HTTP/1.1\r\nHost: a.example\r\nTransfer-Encoding: chunked\r\n\r\n"))
	f.Add([]byte("POST /x HTTP/1.0\r\nContent-Length: 5\r\nUpgrade: h2c\r\n\r\nhello"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost : a\r\n b\r\n\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		out, why := say(&openGuard{host: "a.example", answers: new(answers)}, string(raw), 3)
		if why == dropNone && !bytes.HasPrefix(raw, []byte(out)) {
			t.Errorf("%q went out of %q", out, raw)
		}
		h, n, err := parseHead(raw)
		if err != nil || !h.goesTo("a.example") {
			return
		}
		body := bufio.NewReader(bytes.NewReader(raw))
		other, err := http.ReadRequest(body)
		if err != nil {
			return // stricter still
		}
		if host := hostPart(other.Host); host != "" && !sameHost(host, "a.example") {
			t.Errorf("host %q in %q", other.Host, raw[:n])
		}
		if (other.ContentLength == -1) != h.chunked || other.ContentLength >= 0 && other.ContentLength != max(h.length, 0) {
			t.Errorf("length %d, want %d, in %q", other.ContentLength, h.length, raw[:n])
		}
		rest, _ := io.ReadAll(body)
		if len(rest) != len(raw)-n {
			t.Errorf("head of %d bytes, want %d: %q", len(raw)-len(rest), n, raw)
		}
	})
}
