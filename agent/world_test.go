//go:build unix

package agent

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/console"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// fakeHost runs a function in place of an app.
type fakeHost struct {
	run     func(sandbox.Spec, sandbox.Broker) int
	started chan string // the names of what was started; may be nil
}

func (h *fakeHost) Name() string                { return "fake" }
func (h *fakeHost) Check(context.Context) error { return nil }

func (h *fakeHost) Start(_ context.Context, spec sandbox.Spec, b sandbox.Broker) (sandbox.Instance, error) {
	for _, f := range spec.Process.Stdio {
		if f != nil {
			f.Close()
		}
	}
	i := &fakeInstance{done: make(chan struct{})}
	go func() {
		defer close(i.done)
		if h.run != nil {
			i.code = h.run(spec, b)
		}
	}()
	if h.started != nil {
		h.started <- spec.Name
	}
	return i, nil
}

type fakeInstance struct {
	done chan struct{}
	code int
}

func (i *fakeInstance) Wait(context.Context) (sandbox.Exit, error) {
	<-i.done
	return sandbox.Exit{Code: i.code}, nil
}
func (i *fakeInstance) Stop(context.Context) error { return nil }
func (i *fakeInstance) Posture(context.Context) (sandbox.Posture, error) {
	return sandbox.Posture{}, nil
}

// testAgent is a whole agent with a client over its socket; its apps are modules.
type testAgent struct {
	*Agent
	t      testing.TB
	client *client.Client
	host   *fakeHost
	dir    string // of the modules
}

func newTestAgent(t testing.TB) *testAgent {
	t.Helper()
	home, err := os.MkdirTemp("", "ag") // short: the path of a unix socket is bounded
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(home) })
	w := &testAgent{t: t, host: &fakeHost{started: make(chan string, 64)}, dir: t.TempDir()}
	log := slog.New(slog.DiscardHandler)
	paths := ipc.InHome(home)
	w.client = client.New(paths)
	page := console.New(console.Config{Agent: w.client, Dir: paths.Runtime, Log: log, Now: time.Now})
	t.Cleanup(page.Close)
	w.Agent, err = Open(t.Context(), Config{
		Console: page,
		Data:    home, Version: "test", Log: log, Now: time.Now, Image: w.host, Module: w.host, Presets: filepath.Join(home, "presets"),
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
	go func() { served <- w.Serve(ctx, l) }()
	t.Cleanup(func() {
		w.client.Close()
		stop()
		if err := errors.Join(<-served, w.Close()); err != nil {
			t.Error(err)
		}
	})
	return w
}

// module writes a wasm file, different for each salt, with a manifest in it
// unless rights is nil.
func (w *testAgent) module(name, salt string, rights ...app.Right) string {
	w.t.Helper()
	raw := []byte(wasmbin.Header)
	custom := func(name string, body []byte) {
		content := append(append([]byte{byte(len(name))}, name...), body...)
		raw = append(append(raw, 0), leb(len(content))...)
		raw = append(raw, content...)
	}
	custom("salt", []byte(salt))
	if rights != nil {
		text, err := json.Marshal(app.Manifest{Version: 1, Name: "says " + name, Rights: rights})
		if err != nil {
			w.t.Fatal(err)
		}
		custom(app.ManifestSection, text)
	}
	path := filepath.Join(w.dir, name)
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func leb(n int) []byte {
	var out []byte
	for n >= 0x80 {
		out, n = append(out, byte(n)|0x80), n>>7
	}
	return append(out, byte(n))
}

func connect(host, reason string) app.Right {
	return app.Right{Kind: string(consent.NetConnect), Target: "tcp/" + host + ":443", Reason: reason}
}

// follower is a client that follows a run.
type follower struct {
	t      testing.TB
	stream *client.Stream
}

func (w *testAgent) run(req api.RunRequest) *follower {
	w.t.Helper()
	req.Remove = req.Name == ""
	stream, err := w.client.Run(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { stream.Close() })
	return &follower{w.t, stream}
}

// next skips frames until one of the wanted types comes.
func (s *follower) next(want ...api.FrameType) (api.FrameType, string) {
	s.t.Helper()
	for {
		kind, payload, err := s.stream.Next()
		if err != nil {
			s.t.Fatalf("the stream ended before %q: %v", want, err)
		}
		if strings.ContainsRune(string(frameBytes(want)), rune(kind)) {
			return kind, string(payload)
		}
	}
}

func frameBytes(kinds []api.FrameType) []byte {
	var out []byte
	for _, kind := range kinds {
		out = append(out, byte(kind))
	}
	return out
}

// review waits for the review of the run.
func (w *testAgent) review(s *follower) api.Review {
	w.t.Helper()
	kind, payload := s.next(api.FrameReview, api.FrameStarted, api.FrameError)
	if kind != api.FrameReview {
		w.t.Fatalf("no review but %q %s", kind, payload)
	}
	var head api.Review
	if err := json.Unmarshal([]byte(payload), &head); err != nil {
		w.t.Fatal(err)
	}
	full, err := w.client.Review(w.t.Context(), head.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return full
}

func (w *testAgent) answer(r api.Review, a api.ReviewAnswer) {
	w.t.Helper()
	a.Nonce, a.By = r.Nonce, "test"
	if err := w.client.AnswerReview(w.t.Context(), r.ID, a); err != nil {
		w.t.Fatal(err)
	}
}

// runs wants the run to start without a review, and waits for its end.
func (w *testAgent) runs(s *follower) {
	w.t.Helper()
	if kind, payload := s.next(api.FrameReview, api.FrameStarted, api.FrameError); kind != api.FrameStarted {
		w.t.Fatalf("not started but %q %s", kind, payload)
	}
	s.next(api.FrameExit)
}

// rules are the verdicts and targets of all rules, sorted.
func (w *testAgent) rules() string {
	var words []string
	for _, r := range w.engine.Rules("") {
		words = append(words, r.Verdict.String()+" "+r.Target)
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
