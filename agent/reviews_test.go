//go:build unix

package agent

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

func TestAManifestIsReviewedOnceBeforeTheStart(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1", connect("a.example", "news"), connect("b.example", "ads"), connect("c.example", "maps"))
	s := w.run(api.RunRequest{Source: module})
	r := w.review(s)
	if len(r.Lines) != 3 || r.Update || r.Publisher != "" || r.SaysName != "says tool.wasm" || r.Lines[1].Reason != "ads" || r.Lines[0].Change != "new" {
		t.Errorf("%+v", r)
	}
	if len(w.host.started) != 0 || w.rules() != "" {
		t.Fatal("something was started or given before the answer")
	}
	w.answer(r, api.ReviewAnswer{Verdict: "allow", Lines: map[int]string{2: "deny", 3: "ask"}})
	w.runs(s)
	if got := w.rules(); got != "allow tcp/a.example:443, deny tcp/b.example:443" {
		t.Errorf("the answers became %q", got)
	}
	if by := w.engine.Rules("")[0].By; by != "manifest review, test" {
		t.Errorf("the rule says it is by %q", by)
	}
	w.runs(w.run(api.RunRequest{Source: module})) // not again
}

func TestWhatAReviewAnswerLeavesBehind(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer api.ReviewAnswer
		during string // rules while the app runs
		after  string // and after
		again  bool   // the next run is asked again
	}{
		{"allow", api.ReviewAnswer{Verdict: "allow"}, "allow tcp/a.example:443", "allow tcp/a.example:443", false},
		{"ask", api.ReviewAnswer{Verdict: "ask"}, "", "", false},
		{"for the run", api.ReviewAnswer{Verdict: "allow", Lifetime: "run"}, "allow tcp/a.example:443", "", true},
		{"for a time", api.ReviewAnswer{Verdict: "deny", Lifetime: "time", For: time.Hour}, "deny tcp/a.example:443", "deny tcp/a.example:443", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTestAgent(t)
			during := ""
			w.host.run = func(sandbox.Spec, sandbox.Broker) int { during = w.rules(); return 0 }
			module := w.module("tool.wasm", "1", connect("a.example", "news"))
			s := w.run(api.RunRequest{Source: module})
			w.answer(w.review(s), c.answer)
			w.runs(s)
			if during != c.during || w.rules() != c.after {
				t.Errorf("during the run %q, after it %q", during, w.rules())
			}
			s = w.run(api.RunRequest{Source: module})
			kind, _ := s.next(api.FrameReview, api.FrameStarted)
			if (kind == api.FrameReview) != c.again {
				t.Errorf("the next run is asked again: %v", !c.again)
			}
		})
	}
}

func TestAReviewThatIsDeclinedOrLeft(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1", connect("a.example", "news"))
	s := w.run(api.RunRequest{Source: module})
	w.answer(w.review(s), api.ReviewAnswer{Verdict: "stop"})
	if _, payload := s.next(api.FrameError); !strings.Contains(payload, "declined") {
		t.Error(payload)
	}
	s = w.run(api.RunRequest{Source: module})
	r := w.review(s)
	s.stream.Close() // the client leaves
	for end := time.Now().Add(10 * time.Second); len(w.reviews.list()) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("the review waits for nobody")
		}
	}
	var fault *api.Error
	err := w.client.AnswerReview(t.Context(), r.ID, api.ReviewAnswer{Nonce: r.Nonce, Verdict: "allow"})
	if !errors.As(err, &fault) || fault.Code != "not-found" {
		t.Errorf("a late answer: %v", err)
	}
	if len(w.host.started) != 0 || w.rules() != "" {
		t.Error("something was started or given")
	}
}

func TestForgedAndBadReviewAnswers(t *testing.T) {
	w := newTestAgent(t)
	s := w.run(api.RunRequest{Source: w.module("tool.wasm", "1", connect("a.example", "news"))})
	r := w.review(s)
	for name, a := range map[string]api.ReviewAnswer{
		"no nonce":         {Verdict: "allow"},
		"another nonce":    {Verdict: "allow", Nonce: strings.ToLower(r.Nonce)},
		"no verdict":       {Nonce: r.Nonce},
		"unknown verdict":  {Nonce: r.Nonce, Verdict: "yes"},
		"no such line":     {Nonce: r.Nonce, Verdict: "deny", Lines: map[int]string{2: "allow"}},
		"line 0":           {Nonce: r.Nonce, Verdict: "deny", Lines: map[int]string{0: "allow"}},
		"once":             {Nonce: r.Nonce, Verdict: "allow", Lifetime: "once"},
		"a time of no end": {Nonce: r.Nonce, Verdict: "allow", Lifetime: "time", For: 400 * 24 * time.Hour},
		"a time before":    {Nonce: r.Nonce, Verdict: "allow", Lifetime: "time", For: -time.Hour},
	} {
		if err := w.client.AnswerReview(t.Context(), r.ID, a); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
	if w.rules() != "" || len(w.host.started) != 0 {
		t.Errorf("rules %q, %d started", w.rules(), len(w.host.started))
	}
	w.answer(r, api.ReviewAnswer{Verdict: "deny"})
	w.runs(s)
}

func TestNoInputReviewsNothing(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1", connect("a.example", "news"))
	w.runs(w.run(api.RunRequest{Source: module, NoInput: true}))
	if w.rules() != "" {
		t.Error(w.rules())
	}
	s := w.run(api.RunRequest{Source: module})
	w.answer(w.review(s), api.ReviewAnswer{Verdict: "deny"}) // it does not count as reviewed
	w.runs(s)
}

// Two runs of one app wait for one answer.
func TestOneAnswerForAllThatWait(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1", connect("a.example", "news"))
	first, second := w.run(api.RunRequest{Source: module}), w.run(api.RunRequest{Source: module})
	r := w.review(first)
	w.review(second)
	w.answer(r, api.ReviewAnswer{Verdict: "allow"})
	w.runs(first)
	w.runs(second)
	if got := w.rules(); got != "allow tcp/a.example:443" {
		t.Error(got)
	}
}

// A manifest beside the file changes without the digest of the file.
func TestAManifestBesideTheFileThatGrows(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1")
	manifest := func(rights ...app.Right) {
		raw, _ := json.Marshal(app.Manifest{Version: 1, Rights: rights})
		if err := os.WriteFile(module+app.ManifestSuffix, raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask := func() api.Review {
		s := w.run(api.RunRequest{Source: module})
		r := w.review(s)
		w.answer(r, api.ReviewAnswer{Verdict: "allow"})
		w.runs(s)
		return r
	}
	manifest(connect("*.a.example", "news"))
	if r := ask(); len(r.Lines) != 1 || r.Update {
		t.Errorf("%+v", r)
	}
	manifest(connect("x.a.example", "other words")) // narrower
	w.runs(w.run(api.RunRequest{Source: module}))
	manifest(connect("x.a.example", "news"), connect("b.example", "ads"))
	if r := ask(); len(r.Lines) != 1 || !r.Update || r.Kept != 1 || r.Lines[0].Target != "tcp/b.example:443" {
		t.Errorf("more: %+v", r)
	}
	manifest(connect("*.a.example", "news"), connect("b.example", "ads"))
	if r := ask(); len(r.Lines) != 1 || r.Lines[0].Change != "wider" || r.Lines[0].Was != "tcp/x.a.example:443" || r.Kept != 1 || r.Lines[0].Rule != "allow" {
		t.Errorf("as wide as at first: %+v", r)
	}
	for _, bad := range []app.Right{
		{Kind: "net.connect", Target: "tcp/a b:443", Reason: "r"},
		{Kind: "data.identity", Target: "E-Mail", Reason: "r"},
		{Kind: "notify", Target: "*", Reason: "\u202e\u200b"},
	} {
		manifest(bad)
		s := w.run(api.RunRequest{Source: module})
		if kind, payload := s.next(api.FrameReview, api.FrameStarted, api.FrameError); kind != api.FrameError || !strings.Contains(payload, "right 1") {
			t.Errorf("%+v: %q %s", bad, kind, payload)
		}
	}
}

func TestAnotherFileOfTheSameName(t *testing.T) {
	w := newTestAgent(t)
	s := w.run(api.RunRequest{Source: w.module("tool.wasm", "1", connect("a.example", "news"))})
	w.answer(w.review(s), api.ReviewAnswer{Verdict: "allow"})
	w.runs(s)
	s = w.run(api.RunRequest{Source: w.module("tool.wasm", "2", connect("a.example", "news"))})
	r := w.review(s)
	if r.Update || r.Replaces == nil || len(r.Replaces.Grants) != 1 || r.Lines[0].Rule != "" {
		t.Errorf("the new file is not said to be another one: %+v", r)
	}
	w.answer(r, api.ReviewAnswer{Verdict: "stop"})
	s = w.run(api.RunRequest{Source: w.module("tool.wasm", "3")}) // no manifest
	if _, payload := s.next(api.FrameNotice, api.FrameExit); !strings.Contains(payload, "not the app of this name") {
		t.Error(payload)
	}
}

// What lies on disk of a review never grants, whatever is written there.
func TestAForgedRecordOfAReviewGrantsNothing(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1", connect("a.example", "news"))
	s := w.run(api.RunRequest{Source: module})
	w.answer(w.review(s), api.ReviewAnswer{Verdict: "deny"})
	w.runs(s)
	files, err := filepath.Glob(filepath.Join(w.cfg.Data, "reviews", "*.json"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	raw, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	module = w.module("tool.wasm", "1", connect("a.example", "news"), connect("evil.example", "r"))
	id := app.ID("")
	w.host.run = func(sandbox.Spec, sandbox.Broker) int {
		id = w.list()[0].rec.App.ID()
		return 0
	}
	s = w.run(api.RunRequest{Source: module, NoInput: true})
	w.runs(s)
	forged := strings.ReplaceAll(string(raw), "a.example", "evil.example")
	for path, text := range map[string]string{files[0]: forged, filepath.Join(w.cfg.Data, "reviews", "x.json"): "{", w.reviews.records.Path(id): "[]"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = w.run(api.RunRequest{Source: module})
	w.review(s)
	d := w.engine.Decide(t.Context(), consent.Request{App: app.App{Name: "tool.wasm", Digest: string(id)}, Run: "r", Kind: consent.NetConnect, Target: "tcp/evil.example:443"}, consent.Ask{NoInput: true})
	if d.Verdict == consent.Allow {
		t.Error("a record of a review granted something")
	}
}
