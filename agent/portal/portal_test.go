//go:build unix

package portal

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
)

// theApp is an app on real sockets of the loopback address.
type theApp struct{ ports map[uint16]string }

func (a theApp) DialApp(ctx context.Context, port uint16) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "tcp", a.ports[port])
}

func (a theApp) ServeInbound(ctx context.Context, conn net.Conn, port uint16) error {
	defer conn.Close()
	app, err := a.DialApp(ctx, port)
	if err != nil {
		return err
	}
	defer app.Close()
	var up sync.WaitGroup
	up.Go(func() { io.Copy(app, conn); app.(*net.TCPConn).CloseWrite() })
	io.Copy(conn, app)
	conn.(*net.TCPConn).CloseWrite()
	up.Wait()
	return nil
}

// front is a published port: what the agent does, in one process.
type front struct {
	t      testing.TB
	portal *Portal
	port   Port
	addr   string
	served sync.WaitGroup
}

// publish puts a portal before the app at address.
func publish(t testing.TB, at string, change func(*Port)) *front {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{t: t, addr: l.Addr().String()}
	f.port = Port{Host: uint16(l.Addr().(*net.TCPAddr).Port), App: 80, Name: "web"}
	if change != nil {
		change(&f.port)
	}
	f.portal = New(theApp{map[uint16]string{80: at}}, slog.New(slog.DiscardHandler))
	f.portal.Set([]Port{f.port})
	ctx, cancel := context.WithCancel(context.Background())
	f.served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			f.served.Go(func() { f.portal.Serve(ctx, conn.(*net.TCPConn), f.port.Host) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		f.portal.Close()
		cancel()
		f.served.Wait()
	})
	return f
}

func (f *front) url(path string) string { return "http://" + f.addr + path }

func (f *front) get(path string) (*http.Response, string) {
	f.t.Helper()
	resp, err := http.Get(f.url(path))
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return resp, string(body)
}

// webApp is an app with what pages use.
func webApp(t *testing.T) string {
	mux := http.NewServeMux()
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		w.Header()["X-Seen"] = []string{r.Method + " " + r.Host + " " + r.RequestURI + " " + r.Header.Get("Accept-Encoding") + "|" + r.Header.Get("X-Hop") + "|" + r.Header.Get("X-Forwarded-For")}
		n, _ := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			http.NewResponseController(w).Flush()
			<-r.Context().Done() // the next event comes only if the first got through
			if i == 0 {
				return
			}
		}
	})
	mux.HandleFunc("/talk", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		in := bufio.NewReader(r.Body)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			fmt.Fprint(w, "you said ", line)
			http.NewResponseController(w).Flush()
		}
	})
	mux.HandleFunc("/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.FormValue("at"))
		w.WriteHeader(http.StatusFound)
		fmt.Fprint(w, "secret")
	})
	mux.Handle("/ws", websocket.Handler(func(ws *websocket.Conn) { io.Copy(ws, ws) }))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

func TestHTTPIsGuarded(t *testing.T) {
	f := publish(t, webApp(t), func(p *Port) { p.Sources = []string{"https://a.example"} })
	resp, _ := f.get("/echo?a=1;b=%zz&x")
	if policy := resp.Header.Get(policyHeader); !strings.Contains(policy, "https://a.example") {
		t.Errorf("the policy is %q", policy)
	}
	want := "GET " + f.addr + " /echo?a=1;b=%zz&x gzip||"
	if got := resp.Header.Get("X-Seen"); got != want {
		t.Errorf("the app saw %q, want %q", got, want)
	}
	req, err := http.NewRequest("GET", f.url("/echo"), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Host = "evil.example"
	resp, err = http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusMisdirectedRequest {
		t.Fatalf("another Host: %v, %v", resp, err)
	}
	resp.Body.Close()
	// The policy follows the grants, on a connection that stays.
	f.port.Sources = nil
	f.portal.Set([]Port{f.port})
	if resp, _ := f.get("/echo"); strings.Contains(resp.Header.Get(policyHeader), "a.example") {
		t.Error("the policy holds what was taken back")
	}
}

func TestRedirectsOfAnApp(t *testing.T) {
	f := publish(t, webApp(t), nil)
	if resp, body := f.get("/to?at=https://a.example/secret"); resp.StatusCode != http.StatusForbidden ||
		resp.Header.Get("Location") != "" || !strings.Contains(body, "tcp/a.example:443") || strings.Contains(body, "secret") {
		t.Errorf("out: %s, %q", resp.Status, body)
	}
	if resp, body := f.get("/to?at=/echo"); resp.StatusCode != http.StatusOK || resp.Request.URL.Path != "/echo" {
		t.Errorf("to itself: %s, %q", resp.Status, body)
	}
}

func TestHopByHopHeadersStay(t *testing.T) {
	f := publish(t, webApp(t), nil)
	req, err := http.NewRequest("POST", f.url("/echo"), io.LimitReader(zeros{}, 8<<20))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Connection", "X-Hop")
	req.Header.Set("X-Hop", "1")
	req.Header.Set("X-Forwarded-For", "mine")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != fmt.Sprint(8<<20) {
		t.Errorf("the app got %s bytes, %v", body, err)
	}
	if seen := resp.Header.Get("X-Seen"); !strings.HasSuffix(seen, "||mine") {
		t.Errorf("the app saw %q", seen)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestStreams(t *testing.T) {
	f := publish(t, webApp(t), nil)
	t.Run("events come at once", func(t *testing.T) {
		resp, err := http.Get(f.url("/events"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if line, err := bufio.NewReader(resp.Body).ReadString('\n'); line != "data: 0\n" {
			t.Errorf("got %q, %v", line, err)
		}
	})
	t.Run("both ways at a time", func(t *testing.T) {
		in, out := io.Pipe()
		req, err := http.NewRequest("POST", f.url("/talk"), in)
		if err != nil {
			t.Fatal(err)
		}
		go out.Write([]byte("one\n"))
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answers := bufio.NewReader(resp.Body)
		for _, word := range []string{"one\n", "two\n"} {
			if word == "two\n" {
				go out.Write([]byte(word))
			}
			if got, err := answers.ReadString('\n'); got != "you said "+word {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		out.Close()
	})
	t.Run("WebSocket", func(t *testing.T) {
		ws, err := websocket.Dial("ws://"+f.addr+"/ws", "", "http://"+f.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer ws.Close()
		for _, word := range []string{"one", "two"} {
			var got string
			if err := websocket.Message.Send(ws, word); err != nil {
				t.Fatal(err)
			}
			if err := websocket.Message.Receive(ws, &got); got != word {
				t.Fatalf("got %q, %v", got, err)
			}
		}
		if _, err := websocket.Dial("ws://"+f.addr+"/ws", "", "http://evil.example"); err == nil {
			t.Error("a WebSocket of another site was opened")
		}
		f.portal.Set(nil)
		var got string
		ws.SetDeadline(time.Now().Add(20 * time.Second))
		if err := websocket.Message.Receive(ws, &got); err == nil || isTimeout(err) {
			t.Errorf("the WebSocket outlives its port: %q, %v", got, err)
		}
	})
}

func TestAnAppThatDoesNotAnswer(t *testing.T) {
	f := publish(t, "127.0.0.1:1", nil)
	if resp, body := f.get("/"); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("got %d %s", resp.StatusCode, body)
	}
}

// lineApp speaks first when greeting is not "", and echoes.
func lineApp(t *testing.T, greeting string) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				io.WriteString(conn, greeting)
				io.Copy(conn, conn)
			}()
		}
	}()
	return l.Addr().String()
}

// talk says words and reads until the connection ends or want was read.
func talk(t *testing.T, f *front, wait bool, said, want string) string {
	t.Helper()
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	var got []byte
	read := func(n int) {
		buf := make([]byte, n)
		k, _ := io.ReadFull(conn, buf)
		got = append(got, buf[:k]...)
	}
	if wait {
		read(len(want) - len(said))
	}
	io.WriteString(conn, said)
	read(max(len(want)-len(got), 1))
	return string(got)
}

func TestOtherProtocols(t *testing.T) {
	const greeting = "220 mail.example ESMTP\r\n"
	tlsHello := "\x16\x03\x01\x00\x05hello"
	for _, c := range []struct {
		name     string
		mode     Mode
		greeting string
		wait     bool // the client lets the app speak first
		said     string
		want     string // "" is the end of the connection
	}{
		{"client first", Auto, "", false, "SET a b\r\n", "SET a b\r\n"},
		{"binary", Auto, "", false, "\x00\x01\x02", "\x00\x01\x02"},
		{"server first", Auto, greeting, true, "EHLO x\r\n", greeting + "EHLO x\r\n"},
		{"TLS", Auto, "", false, tlsHello, ""},
		{"TLS, raw", Raw, "", false, tlsHello, tlsHello},
		{"not HTTP", HTTP, "", false, "SET a b\r\n", ""},
		{"server first, HTTP", HTTP, greeting, false, "EHLO x\r\n", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := publish(t, lineApp(t, c.greeting), func(p *Port) { p.Mode = c.mode })
			if got := talk(t, f, c.wait, c.said, c.want); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// An app must not get a page past the policy by speaking before it is asked.
func TestAnAppThatAnswersBeforeTheQuestion(t *testing.T) {
	page := "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
	f := publish(t, lineApp(t, page), nil)
	if got := talk(t, f, true, "", page); got != "" {
		t.Errorf("the client was given %q", got)
	}
	f = publish(t, lineApp(t, "220 hello there\r\n"), nil)
	if got := talk(t, f, true, "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "220 hello there\r\nGET / HTTP/1.1\r\nHost: evil.example\r\n\r\n"); strings.Contains(got, "GET") {
		t.Errorf("a request went past the guard: %q", got)
	}
}

// A browser opens connections before it has a question.
func TestASilentClientThatAsksLater(t *testing.T) {
	f := publish(t, webApp(t), nil)
	conn, err := net.Dial("tcp", f.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	time.Sleep(2 * silence)
	for _, part := range []string{"GE", "T /echo HTTP/1.1\r\nHost: ", f.addr + "\r\n\r\n"} {
		io.WriteString(conn, part)
		time.Sleep(20 * time.Millisecond)
	}
	conn.SetDeadline(time.Now().Add(30 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.Header.Get(policyHeader) == "" {
		t.Fatalf("got %v, %v", resp, err)
	}
}

func TestTLSOfAClientIsRefused(t *testing.T) {
	f := publish(t, webApp(t), nil)
	if conn, err := tls.Dial("tcp", f.addr, &tls.Config{InsecureSkipVerify: true}); err == nil {
		conn.Close()
		t.Error("TLS went through a port that nobody can look into")
	}
}

func BenchmarkGuardedRequest(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer server.Close()
	f := publish(b, server.Listener.Addr().String(), nil)
	for name, url := range map[string]string{"guarded": f.url("/"), "direct": server.URL} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				resp, err := http.Get(url)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
