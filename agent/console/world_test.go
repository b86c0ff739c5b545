//go:build unix

package console_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/consentry/consentry/agent"
	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/console"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// world is a whole agent with its console. Its apps are functions, which reach
// a real web server through the agent, or do not.
type world struct {
	t       testing.TB
	client  *client.Client
	console *console.Server
	home    string
	clock   atomic.Int64 // what was added to the time of the console

	web     *httptest.Server
	cookies sync.Map // what browsers sent there

	app func(sandbox.Broker) // what the next app does
}

func (w *world) Name() string                { return "fake" }
func (w *world) Check(context.Context) error { return nil }

func (w *world) Start(_ context.Context, spec sandbox.Spec, b sandbox.Broker) (sandbox.Instance, error) {
	for _, f := range spec.Process.Stdio {
		if f != nil {
			f.Close()
		}
	}
	i := &instance{done: make(chan struct{})}
	go func() { defer i.stop(); w.app(b) }()
	return i, nil
}

type instance struct {
	once sync.Once
	done chan struct{}
}

func (i *instance) stop() { i.once.Do(func() { close(i.done) }) }

func (i *instance) Wait(context.Context) (sandbox.Exit, error) { <-i.done; return sandbox.Exit{}, nil }
func (i *instance) Stop(context.Context) error                 { i.stop(); return nil }
func (i *instance) Posture(context.Context) (sandbox.Posture, error) {
	return sandbox.Posture{}, nil
}

func newWorld(t testing.TB, idle time.Duration) *world {
	t.Helper()
	home, err := os.MkdirTemp("", "con") // short: the path of a unix socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, home: home}
	w.web = httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		w.cookies.Store(r.Header.Get("Cookie"), true)
		if r.URL.Path == "/slow" {
			for r.Context().Err() == nil {
				io.WriteString(rw, "more\n")
				http.NewResponseController(rw).Flush()
				time.Sleep(20 * time.Millisecond)
			}
		}
		rw.Header().Set("Content-Type", "text/html")
		io.WriteString(rw, "<!doctype html><title>elsewhere</title><p>elsewhere")
	}))
	paths, log := ipc.InHome(home), slog.New(slog.DiscardHandler)
	w.client = client.New(paths)
	w.console = console.New(console.Config{
		Agent: w.client, Dir: paths.Runtime, Log: log, Idle: idle,
		Now: func() time.Time { return time.Now().Add(time.Duration(w.clock.Load())) },
	})
	a, err := agent.Open(t.Context(), agent.Config{
		Data: home, Version: "test", Log: log, Now: time.Now, Image: w, Module: w, Console: w.console,
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ipc.Listen(paths, log)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- a.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-served, a.Close()); err != nil {
			t.Error(err)
		}
		w.console.Close()
		w.client.Close()
		w.web.CloseClientConnections()
		w.web.Close()
		os.RemoveAll(home)
	})
	return w
}

// start runs an app that does what do says.
func (w *world) start(name string, do func(sandbox.Broker)) {
	w.t.Helper()
	w.startWith(name, "", do)
}

// startWith starts an app with a manifest.
func (w *world) startWith(name, manifest string, do func(sandbox.Broker)) {
	w.t.Helper()
	w.app = do
	file := filepath.Join(w.home, name+".wasm")
	raw := wasmbin.Header + section(name, "")
	if manifest != "" {
		raw += section(app.ManifestSection, manifest)
	}
	if err := os.WriteFile(file, []byte(raw), 0o600); err != nil {
		w.t.Fatal(err)
	}
	s, err := w.client.Run(w.t.Context(), api.RunRequest{Source: file, Name: name, Detach: true})
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	for {
		kind, payload, err := s.Next()
		if err != nil || kind == api.FrameError {
			w.t.Fatalf("start %s: %s %v", name, payload, err)
		}
		if kind == api.FrameStarted {
			return
		}
	}
}

// section is a custom section of a module.
func section(name, body string) string {
	content := string(rune(len(name))) + name + body
	size := ""
	for n := len(content); ; n >>= 7 {
		if n < 0x80 {
			return "\x00" + size + string([]byte{byte(n)}) + content
		}
		size += string([]byte{byte(n) | 0x80})
	}
}

// gets is an app that gets a path of the web server, over and over, each time
// with a line in the answers: "ok", or the error.
func (w *world) gets(path string, times int, answers chan<- string) func(sandbox.Broker) {
	return func(b sandbox.Broker) {
		for range times {
			answers <- w.get(b, path)
		}
	}
}

// passed is what a worker would have of conn.
func passed(conn net.Conn) (net.Conn, error) {
	file, err := conn.(interface{ File() (*os.File, error) }).File()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return net.FileConn(file)
}

func (w *world) get(b sandbox.Broker, path string) string {
	host, text, _ := net.SplitHostPort(w.web.Listener.Addr().String())
	port, _ := strconv.Atoi(text)
	conn, err := b.Dial(context.Background(), sandbox.Flow{Network: "tcp", Host: host, Port: uint16(port), Reason: "to show <b>the weather</b>"})
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	if conn, err = passed(conn); err != nil {
		return err.Error()
	}
	defer conn.Close()
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, host)
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	if err != nil {
		return err.Error()
	}
	if path == "/slow" {
		_, err := io.Copy(io.Discard, r)
		return fmt.Sprint("cut: ", err)
	}
	return strings.TrimSpace(line)
}

// way asks for a way in.
func (w *world) way(req api.ConsoleRequest) api.Console {
	w.t.Helper()
	way, err := w.client.Console(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return way
}

// until waits for something that takes a moment.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("it is not so that %s", what)
}

func receive(t testing.TB, what string, from <-chan string) string {
	t.Helper()
	select {
	case got := <-from:
		return got
	case <-time.After(20 * time.Second):
		t.Fatalf("no %s", what)
		return ""
	}
}
