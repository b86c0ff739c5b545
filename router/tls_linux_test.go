package router

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// countingConn counts what the router sends to a server.
type countingConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countingConn) Write(b []byte) (int, error) {
	c.sent.Add(int64(len(b)))
	return c.Conn.Write(b)
}

func TestPort443MustCarryTheDialledName(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // cut handshakes are the point
	server.StartTLS()
	defer server.Close()
	var last atomic.Pointer[atomic.Int64] // of the newest connection
	l := newLab(t, labOptions{})
	l.broker.set(func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
		conn, err := to(server.Listener.Addr().String())(ctx, f)
		sent := new(atomic.Int64)
		last.Store(sent)
		return countingConn{conn, sent}, err
	})
	both(t, func(t *testing.T, family string) {
		target := netip.AddrPortFrom(l.resolve(family, "granted.example"), 443).String()
		for _, c := range []struct {
			name  string
			works bool
		}{{"granted.example", true}, {"GRANTED.example", true}, {"other.example", false}, {"", false}} {
			conn, err := l.dial("tcp", target)
			if err != nil {
				t.Fatal(err)
			}
			conn.SetDeadline(time.Now().Add(5 * time.Second))
			err = tls.Client(conn, &tls.Config{ServerName: c.name, InsecureSkipVerify: true}).Handshake()
			conn.Close()
			if (err == nil) != c.works {
				t.Errorf("name %q: %v", c.name, err)
			}
			if !c.works && last.Load().Load() != 0 {
				t.Errorf("name %q: %d bytes reached the server", c.name, last.Load().Load())
			}
		}
		conn, err := l.dial("tcp", target)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(5 * time.Second))
		io.WriteString(conn, "GET / HTTP/1.1\r\nHost: granted.example\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err == nil || last.Load().Load() != 0 {
			t.Errorf("no TLS: %v, %d bytes reached the server", err, last.Load().Load())
		}
	})
	if cut := l.router.Stats().Drops[reasonNames[cutTLS]]; cut != 6 {
		t.Errorf("%d cuts were counted, want 6", cut)
	}
}
