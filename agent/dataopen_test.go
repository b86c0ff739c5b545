package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/userdata"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// house is a user with a profile, an engine and files, without the rest of an agent.
type house struct {
	t      testing.TB
	engine *consent.Engine
	data   *userdata.Service
	dir    string
}

func newHouse(t testing.TB) *house {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	engine, err := consent.Open(t.Context(), consent.Config{Dir: filepath.Join(dir, "consent")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	service, err := userdata.Open(userdata.Config{Dir: dir, Vault: consent.Files(dir)})
	if err != nil {
		t.Fatal(err)
	}
	if err := service.Profile.Set(map[string]string{"email": "ada@example.org", "name": "Ada"}); err != nil {
		t.Fatal(err)
	}
	return &house{t, engine, service, dir}
}

// run is the way out of one run of an app, nobody is asked for.
func (h *house) run(name string) *broker {
	return &broker{
		engine: h.engine, data: h.data, app: app.App{Name: name, Digest: "sha256:" + name}, run: "run-" + name, now: time.Now,
		ask: consent.Ask{NoInput: true}, leases: newLeases(h.engine), handles: newHandles(), tally: newTally(h.engine),
	}
}

func (h *house) allow(b *broker, kind, target, shape string) consent.Rule {
	h.t.Helper()
	rule, err := h.engine.Allow(h.t.Context(), consent.Rule{
		App: b.app.ID(), AppName: b.app.Name, Kind: consent.Kind(kind), Target: target, Verdict: consent.Allow, Lifetime: consent.Always, Shape: shape,
	})
	if err != nil {
		h.t.Fatal(err)
	}
	return rule
}

func identity(fields ...string) sandbox.DataRequest {
	return sandbox.DataRequest{Kind: data.Identity, Fields: fields, Purpose: "x", Retain: true}
}

func said(reply sandbox.DataReply, err error) string {
	raw, _ := json.Marshal(map[string]any{"v": reply.Values, "w": reply.Withheld})
	return fmt.Sprint(string(raw), " ", err)
}

func TestEachFieldHasTheShapeOfItsRule(t *testing.T) {
	h := newHouse(t)
	b := h.run("a")
	h.allow(b, "data.identity", "email", `{"say":{"email":"other@example.org"}}`)
	h.allow(b, "data.identity", "name", "")
	if got := said(b.Open(t.Context(), identity("email", "name"))); got != `{"v":{"email":"other@example.org","name":"Ada"},"w":[]} <nil>` {
		t.Error(got)
	}
	// What cannot be read is not granted.
	h.allow(b, "data.identity", "name", `{"redact":["shoe"]}`)
	if got := said(b.Open(t.Context(), identity("email", "name"))); got != `{"v":{"email":"other@example.org"},"w":["name"]} <nil>` {
		t.Error(got)
	}
}

func TestAPartOfTheFields(t *testing.T) {
	h := newHouse(t)
	b := h.run("a")
	h.allow(b, "data.identity", "email", "")
	if _, err := h.engine.Allow(t.Context(), consent.Rule{App: b.app.ID(), AppName: "a", Kind: "data.identity", Target: "name", Lifetime: consent.Always}); err != nil {
		t.Fatal(err)
	}
	if got := said(b.Open(t.Context(), identity("email", "name"))); got != `{"v":{"email":"ada@example.org"},"w":["name"]} <nil>` {
		t.Error(got)
	}
}

// A no and an answer with nothing in it are the same error after the same time:
// whoever asks often learns no more than who asks once.
func TestNoTakesAsLongAsNothing(t *testing.T) {
	h := newHouse(t)
	allowed, denied := h.run("allowed"), h.run("denied")
	deny := func(kind, target string) {
		if _, err := h.engine.Allow(t.Context(), consent.Rule{App: denied.app.ID(), AppName: "denied", Kind: consent.Kind(kind), Target: target, Lifetime: consent.Always}); err != nil {
			t.Fatal(err)
		}
	}
	h.allow(allowed, "data.identity", "avatar", "")
	deny("data.identity", "avatar")
	var times [2][]time.Duration
	var words [2]string
	for range 150 {
		for i, b := range []*broker{allowed, denied} {
			began := time.Now()
			_, err := b.Open(t.Context(), identity("avatar"))
			times[i] = append(times[i], time.Since(began))
			if !errors.Is(err, sandbox.ErrDenied) {
				t.Fatal(err)
			}
			words[i] = sandbox.Code(err)
		}
	}
	for i := range times {
		slices.Sort(times[i])
	}
	if words[0] != words[1] {
		t.Errorf("%q and %q", words[0], words[1])
	}
	for _, part := range []int{0, 75} { // the least and the median
		nothing, no := times[0][part], times[1][part]
		if nothing < noAfter || no < noAfter || (nothing-no).Abs() > noAfter/4 {
			t.Errorf("nothing after %s, no after %s", nothing, no)
		}
	}

	// A calendar that takes time to read is read for both.
	var events strings.Builder
	events.WriteString("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:x\r\n")
	for i := range 5_000 {
		fmt.Fprintf(&events, "BEGIN:VEVENT\r\nUID:%d\r\nDTSTAMP:20201101T000000Z\r\nSUMMARY:Doctor\r\nDTSTART:20201203T090000Z\r\nDTEND:20201203T100000Z\r\nEND:VEVENT\r\n", i)
	}
	events.WriteString("END:VCALENDAR\r\n")
	path := filepath.Join(h.dir, "days.ics")
	if err := os.WriteFile(path, []byte(events.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := h.data.Accounts.Add(t.Context(), userdata.Account{Name: "days", Kind: data.Calendar, Path: path}, ""); err != nil {
		t.Fatal(err)
	}
	h.allow(allowed, "data.calendar", "title", "")
	deny("data.calendar", "title")
	var took [2]time.Duration
	for i, b := range []*broker{allowed, denied} {
		began := time.Now()
		from := time.Date(2026, 1, 1+i, 0, 0, 0, 0, time.UTC) // what was read a moment ago is not read again
		_, err := b.Open(t.Context(), sandbox.DataRequest{Kind: data.Calendar, Fields: []string{"title"}, Purpose: "x", From: from, To: from.AddDate(0, 1, 0)})
		if took[i] = time.Since(began); !errors.Is(err, sandbox.ErrDenied) {
			t.Errorf("%s: %v", b.app.Name, err)
		}
	}
	if took[0] < 4*noAfter || took[1] < took[0]/4 {
		t.Errorf("nothing after %s, no after %s", took[0], took[1])
	}
}

func TestWhyNobodyIsAsked(t *testing.T) {
	h := newHouse(t)
	b := h.run("a")
	if _, err := b.Open(t.Context(), identity("email")); !errors.Is(err, sandbox.ErrBlocked) {
		t.Errorf("without a manifest: %v", err)
	}
	b.app.Manifest = &app.Manifest{Rights: []app.Right{{Kind: "data.identity", Target: "email,name?", Reason: "r"}}}
	if _, err := b.Open(t.Context(), identity("email")); !errors.Is(err, sandbox.ErrBlocked) {
		t.Errorf("in the manifest: %v", err)
	}
	if _, err := b.Open(t.Context(), identity("avatar")); !errors.Is(err, sandbox.ErrUndeclared) {
		t.Errorf("not in the manifest: %v", err)
	}
}

// endedLeases waits for leases that end.
func endedLeases(t *testing.T, b *broker) []uint64 {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	ids, err := b.Ended(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return ids
}

func TestALeaseEndsWithItsYes(t *testing.T) {
	for name, change := range map[string]func(*house, *broker, consent.Rule){
		"taken back": func(h *house, _ *broker, r consent.Rule) {
			if _, err := h.engine.Revoke(h.t.Context(), consent.Selector{ID: r.ID}); err != nil {
				h.t.Fatal(err)
			}
		},
		"shaped anew": func(h *house, b *broker, _ consent.Rule) {
			h.allow(b, "data.identity", "email", `{"madeUp":["email"]}`)
		},
		"given back": func(h *house, b *broker, r consent.Rule) {
			if err := b.GiveBack(h.t.Context(), r.ID); err != nil {
				h.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			b := h.run("a")
			rule := h.allow(b, "data.identity", "email", "")
			reply, err := b.Open(t.Context(), identity("email"))
			if err != nil || reply.Lease == 0 || reply.Grant != rule.ID {
				t.Fatalf("%+v, %v", reply, err)
			}
			given, err := b.Given(t.Context())
			if err != nil || len(given) != 1 || given[0].Grant != rule.ID || fmt.Sprint(given[0].Fields) != "[email]" {
				t.Errorf("given: %+v, %v", given, err)
			}
			change(h, b, rule)
			b.leases.recheck()
			if ids := endedLeases(t, b); len(ids) != 1 || ids[0] != reply.Lease {
				t.Errorf("ended: %v", ids)
			}
			if given, err := b.Given(t.Context()); err != nil || len(given) != 0 {
				t.Errorf("given, afterwards: %+v, %v", given, err)
			}
		})
	}
}

// What GET /v1/grants shows must not tell a granted field without a value from
// one that was refused.
func TestGivenHasNoFieldThatWasEmpty(t *testing.T) {
	h := newHouse(t)
	b := h.run("a")
	h.allow(b, "data.identity", "*", "")
	if _, err := b.Open(t.Context(), identity("avatar")); !errors.Is(err, sandbox.ErrDenied) {
		t.Fatal(err)
	}
	if given, err := b.Given(t.Context()); err != nil || len(given) != 0 {
		t.Errorf("%+v, %v", given, err)
	}
	if _, err := b.Open(t.Context(), identity("avatar", "email")); err != nil {
		t.Fatal(err)
	}
	if given, _ := b.Given(t.Context()); fmt.Sprint(given[0].Fields) != "[email]" {
		t.Errorf("%+v", given)
	}
}

func TestAnAppCannotWidenWhatItHas(t *testing.T) {
	h := newHouse(t)
	b := h.run("a")
	h.allow(b, "data.identity", "*", "")
	madeUp := h.allow(b, "data.identity", "email", `{"madeUp":["email"]}`)
	before := said(b.Open(t.Context(), identity("email")))
	if strings.Contains(before, `"ada@`) {
		t.Fatal(before)
	}
	if err := b.GiveBack(t.Context(), madeUp.ID); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("given back: %v", err)
	}
	if got := said(b.Open(t.Context(), identity("email"))); got != before {
		t.Errorf("%s, before %s", got, before)
	}
}

func TestTwoAppsNeverMeet(t *testing.T) {
	h := newHouse(t)
	one, two := h.run("one"), h.run("two")
	path := filepath.Join(h.dir, "letter.txt")
	if err := os.WriteFile(path, []byte("dear"), 0o600); err != nil {
		t.Fatal(err)
	}
	rule := h.allow(one, "data.files", "content,name", data.Shape{Only: []string{path}}.Text())
	req := sandbox.DataRequest{Kind: data.Files, Fields: []string{"content", "name", "size"}, Purpose: "x"}
	if _, err := two.Open(t.Context(), req); !errors.Is(err, sandbox.ErrBlocked) {
		t.Fatalf("the grant of another app: %v", err)
	}
	req.Fields = []string{"content", "name"}
	reply, err := one.Open(t.Context(), req)
	if err != nil || len(reply.Records) != 1 || reply.Records[0]["name"] != "letter.txt" {
		t.Fatalf("%+v, %v", reply, err)
	}
	raw, err := json.Marshal(reply)
	if err != nil || strings.Contains(string(raw), h.dir) {
		t.Errorf("a path left: %s, %v", raw, err)
	}
	piece := sandbox.FilePiece{Handle: reply.Records[0]["content"].(string), Length: 10}
	if got, err := one.Piece(t.Context(), piece); err != nil || string(got.Data) != "dear" {
		t.Errorf("%+v, %v", got, err)
	}
	if got, err := two.Piece(t.Context(), piece); !errors.Is(err, sandbox.ErrNothing) {
		t.Errorf("another app reads it: %+v, %v", got, err)
	}
	if err := two.GiveBack(t.Context(), rule.ID); !errors.Is(err, sandbox.ErrNothing) {
		t.Errorf("another app gives it back: %v", err)
	}
	if _, err := h.engine.Revoke(t.Context(), consent.Selector{ID: rule.ID}); err != nil {
		t.Fatal(err)
	}
	if got, err := one.Piece(t.Context(), piece); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("taken back: %+v, %v", got, err)
	}
}

func TestASecretIsRevealedForItsPlaceOnly(t *testing.T) {
	h := newHouse(t)
	b, other := h.run("a"), h.run("b")
	if err := h.data.Secrets.Set(userdata.Secret{Name: "token", Origins: []string{"https://api.example.org"}}, "s3cr3t"); err != nil {
		t.Fatal(err)
	}
	req := sandbox.DataRequest{Kind: data.Secret, Name: "token", Purpose: "x"}
	if _, err := b.Open(t.Context(), req); !errors.Is(err, sandbox.ErrBlocked) {
		t.Fatal(err)
	}
	rule := h.allow(b, "secret.use", "token", "")
	reply, err := b.Open(t.Context(), req)
	if err != nil || strings.Contains(fmt.Sprint(reply), "s3cr3t") {
		t.Fatalf("%+v, %v", reply, err)
	}
	handle := reply.Values["handle"].(string)
	if value, err := b.Reveal(t.Context(), sandbox.SecretFor{Handle: handle, Origin: "https://api.example.org"}); err != nil || value != "s3cr3t" {
		t.Errorf("%q, %v", value, err)
	}
	t.Chdir(h.dir) // where a file has the name of the secret
	if err := os.WriteFile("token", []byte("not picked"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := b.Piece(t.Context(), sandbox.FilePiece{Handle: handle, Length: 10}); !errors.Is(err, sandbox.ErrNothing) {
		t.Errorf("the handle of a secret opens a file: %+v, %v", got, err)
	}
	for who, try := range map[*broker]sandbox.SecretFor{
		b: {Handle: handle, Origin: "https://evil.example"}, other: {Handle: handle, Origin: "https://api.example.org"},
	} {
		if value, err := who.Reveal(t.Context(), try); err == nil {
			t.Errorf("%+v: %q", try, value)
		}
	}
	if _, err := h.engine.Revoke(t.Context(), consent.Selector{ID: rule.ID}); err != nil {
		t.Fatal(err)
	}
	if value, err := b.Reveal(t.Context(), sandbox.SecretFor{Handle: handle, Origin: "https://api.example.org"}); err == nil {
		t.Errorf("taken back: %q", value)
	}
}

// Uses are counted all, in few lines, with the names of fields and no values.
func TestUsesAreGrouped(t *testing.T) {
	h := newHouse(t)
	b := h.run("a")
	rule := h.allow(b, "data.identity", "email", "")
	const times = 500
	for range times {
		if _, err := b.Open(t.Context(), identity("email")); err != nil {
			t.Fatal(err)
		}
	}
	b.tally.flush()
	for h.engine.Rules(b.app.ID())[0].Uses < times {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond) // until it is on disk
	lines, err := h.engine.Log(t.Context(), consent.Query{})
	if err != nil {
		t.Fatal(err)
	}
	uses := 0
	for _, l := range lines {
		if l.Event == "use" {
			uses++
			if l.Target != "email" || l.Rule != rule.ID || l.In == 0 {
				t.Errorf("%+v", l)
			}
		}
		if strings.Contains(fmt.Sprint(l), "ada@") {
			t.Errorf("a value is in the ledger: %+v", l)
		}
	}
	if uses != 2 {
		t.Errorf("%d lines for %d uses", uses, times)
	}
}

// BenchmarkGrantedRead is the agent's part of a read that was granted.
func BenchmarkGrantedRead(b *testing.B) {
	h := newHouse(b)
	run := h.run("a")
	h.allow(run, "data.identity", "email", "")
	req := identity("email")
	req.Retain = false
	b.ReportAllocs()
	for b.Loop() {
		if _, err := run.Open(b.Context(), req); err != nil {
			b.Fatal(err)
		}
	}
}
