package router

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestHostIsCheckedOnEveryRequest keeps one connection and names another host
// on it; then an upgraded connection carries frames that are no HTTP.
func TestHostIsCheckedOnEveryRequest(t *testing.T) {
	var mu sync.Mutex
	var hosts []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		mu.Lock()
		hosts = append(hosts, req.Host)
		mu.Unlock()
		if req.Header.Get("Upgrade") == "" {
			io.WriteString(w, "page")
			return
		}
		conn, buf, _ := w.(http.Hijacker).Hijack()
		defer conn.Close()
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.CopyN(conn, buf, 6)
	}))
	defer server.Close()
	l := newLab(t, labOptions{})
	l.broker.set(to(server.Listener.Addr().String()))
	both(t, func(t *testing.T, family string) {
		for _, port := range []uint16{80, 8080} {
			target := netip.AddrPortFrom(l.resolve(family, "granted.example"), port).String()
			conn := request(t, l, target, "Host: granted.example", "page")
			fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: other.example\r\n\r\n")
			if _, err := conn.Read(make([]byte, 1)); err == nil {
				t.Errorf("port %d: another host was answered", port)
			}
			conn.Close()
			conn = request(t, l, target, "Host: granted.example\r\nConnection: Upgrade\r\nUpgrade: websocket", "")
			frame := "\x81\x04\x00\n\rX"
			io.WriteString(conn, frame)
			got := make([]byte, len(frame))
			if _, err := io.ReadFull(conn, got); err != nil || string(got) != frame {
				t.Errorf("port %d: upgraded: %q, %v", port, got, err)
			}
			conn.Close()
		}
	})
	mu.Lock()
	defer mu.Unlock()
	for _, host := range hosts {
		if host != "granted.example" {
			t.Errorf("the server saw a request for %q", host)
		}
	}
	if cut := l.router.Stats().Drops[reasonNames[cutHost]]; cut != 4 {
		t.Errorf("%d cuts were counted, want 4", cut)
	}
}

// request sends one request and returns the connection after its answer.
func request(t *testing.T, l *lab, target, fields, want string) net.Conn {
	t.Helper()
	conn, err := l.dial("tcp", target)
	if err != nil {
		t.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "GET / HTTP/1.1\r\n%s\r\n\r\n", fields)
	reader := bufio.NewReader(conn)
	reply, err := http.ReadResponse(reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	if want != "" {
		if page, _ := io.ReadAll(reply.Body); !strings.Contains(string(page), want) {
			t.Errorf("page %q", page)
		}
	}
	return conn
}
