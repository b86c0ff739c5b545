package consent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/app"
)

var demo = app.App{Name: "demo", Digest: "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", Format: app.Image}

const target = "tcp/api.example.com:443"

func openIn(t *testing.T, dir string, now func() time.Time) *Engine {
	t.Helper()
	e, err := Open(t.Context(), Config{Dir: dir, Now: now, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close() })
	return e
}

func asking(target string) Request {
	return Request{App: demo, Run: "run1", Kind: NetConnect, Target: target, Reason: "to fetch the news"}
}

// pendingPrompt waits for the prompt of a target.
func pendingPrompt(t *testing.T, e *Engine, target string) Prompt {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		for _, p := range e.Pending() {
			if p.Request.Target == target {
				return p
			}
		}
	}
	t.Fatalf("no prompt for %s", target)
	return Prompt{}
}

// asked decides while the user gives an answer.
func asked(t *testing.T, e *Engine, r Request, v Verdict, l Lifetime) Decision {
	t.Helper()
	got := make(chan Decision, 1)
	go func() { got <- e.Decide(context.Background(), r, Ask{Hold: 10 * time.Second}) }()
	p := pendingPrompt(t, e, r.Target)
	a := Answer{Request: p.ID, Nonce: p.Nonce, Verdict: v, Lifetime: l, By: "cli"}
	if l == Timed {
		a.For = time.Hour
	}
	if err := e.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	return <-got
}

// silent decides without anybody there.
func silent(e *Engine, r Request) Decision {
	return e.Decide(context.Background(), r, Ask{NoInput: true})
}

func TestAnswersLastAsLongAsTheySay(t *testing.T) {
	for _, c := range []struct {
		verdict  Verdict
		lifetime Lifetime
		rule     bool
	}{
		{Allow, Once, false}, {Allow, Run, true}, {Allow, Timed, true}, {Allow, Always, true},
		{Deny, Once, false}, {Deny, Always, true},
	} {
		t.Run(c.verdict.String()+" "+string(c.lifetime), func(t *testing.T) {
			e := openIn(t, t.TempDir(), time.Now)
			if d := asked(t, e, asking(target), c.verdict, c.lifetime); d.Verdict != c.verdict {
				t.Fatalf("got %+v", d)
			}
			if rules := e.Rules(demo.ID()); (len(rules) == 1) != c.rule {
				t.Fatalf("rules: %+v", rules)
			}
			again := silent(e, asking(target))
			if c.rule && (again.Verdict != c.verdict || again.Source != FromRule) {
				t.Errorf("next time: %+v", again)
			}
			if !c.rule && (again.Verdict != Deny || c.verdict == Allow && again.Source != FromNoInput) {
				t.Errorf("next time it must be asked: %+v", again)
			}
			if d := silent(e, asking("tcp/other.example.com:443")); d.Verdict != Deny {
				t.Errorf("another host: %+v", d)
			}
			e.RunEnded("run1")
			if after := silent(e, asking(target)); c.lifetime == Run && after.Verdict != Deny {
				t.Errorf("after the run: %+v", after)
			}
		})
	}
}

func TestNoAnswerIsNoAndWritesNothing(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	if d := e.Decide(t.Context(), asking(target), Ask{Hold: 20 * time.Millisecond}); d.Verdict != Deny || d.Source != FromHold {
		t.Fatalf("got %+v", d)
	}
	if rules := e.Rules(""); len(rules) != 0 {
		t.Fatalf("rules: %+v", rules)
	}
	p := pendingPrompt(t, e, target)
	if p.Live {
		t.Error("the prompt is said to be live")
	}
	if err := e.Answer(t.Context(), Answer{Request: p.ID, Nonce: p.Nonce, Verdict: Allow, Lifetime: Always, By: "cli"}); err != nil {
		t.Fatal(err)
	}
	if d := silent(e, asking(target)); d.Verdict != Allow {
		t.Errorf("the late yes does not count: %+v", d)
	}
}

func TestNoInputNamesTheCommand(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	if d := silent(e, asking(target)); d.Source != FromNoInput || !strings.Contains(d.Detail, "consentry allow demo net.connect "+target) {
		t.Fatalf("got %+v", d)
	}
}

func TestACallerThatLeavesGetsNo(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if d := e.Decide(ctx, asking(target), Ask{Hold: time.Minute}); d.Verdict != Deny {
		t.Fatalf("got %+v", d)
	}
}

func TestForgedAnswersAreRefused(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	got := make(chan Decision, 1)
	go func() { got <- e.Decide(context.Background(), asking(target), Ask{Hold: 500 * time.Millisecond}) }()
	p := pendingPrompt(t, e, target)
	yes := Answer{Request: p.ID, Nonce: p.Nonce, Verdict: Allow, Lifetime: Always, By: "cli"}
	for name, c := range map[string]struct {
		change func(*Answer)
		is     error
	}{
		"nonce":    {func(a *Answer) { a.Nonce = strings.Repeat("0", len(a.Nonce)) }, ErrStaleNonce},
		"no nonce": {func(a *Answer) { a.Nonce = "" }, ErrStaleNonce},
		"request":  {func(a *Answer) { a.Request = "zzzzzz" }, ErrNoSuchRequest},
		"lifetime": {func(a *Answer) { a.Lifetime = "forever" }, ErrBadAnswer},
		"target":   {func(a *Answer) { a.Target = "tcp/elsewhere.example:443" }, ErrBadAnswer},
	} {
		forged := yes
		c.change(&forged)
		if err := e.Answer(t.Context(), forged); !errors.Is(err, c.is) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if d := <-got; d.Verdict != Deny {
		t.Fatalf("a forged answer let it through: %+v", d)
	}
}

func TestAnAnswerIsOnDiskBeforeItIsConfirmed(t *testing.T) {
	dir, copied := t.TempDir(), filepath.Join(t.TempDir(), "copy")
	e := openIn(t, dir, time.Now)
	asked(t, e, asking(target), Allow, Always)
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil { // as a crash would leave it
		t.Fatal(err)
	}
	after := openIn(t, copied, time.Now)
	if err := after.Health(); err != nil {
		t.Fatal(err)
	}
	if d := silent(after, asking(target)); d.Verdict != Allow {
		t.Fatalf("lost: %+v", d)
	}
}

func TestADamagedStoreDeniesAll(t *testing.T) {
	for name, spoil := range map[string]func(path string, raw []byte) error{
		"truncated": func(path string, raw []byte) error { return os.WriteFile(path, raw[:len(raw)/2], 0o600) },
		"garbage": func(path string, raw []byte) error {
			return os.WriteFile(path, []byte(strings.Repeat("x", len(raw))), 0o600)
		},
		"other target": func(path string, raw []byte) error {
			return os.WriteFile(path, []byte(strings.ReplaceAll(string(raw), "api.example.com", "api.exfiltr.com")), 0o600)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			e := openIn(t, dir, time.Now)
			asked(t, e, asking(target), Allow, Always)
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			files, err := filepath.Glob(filepath.Join(dir, "*.db"))
			if err != nil || len(files) == 0 {
				t.Fatalf("no store in %s: %v", dir, err)
			}
			for _, path := range files {
				raw, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				if err := spoil(path, raw); err != nil {
					t.Fatal(err)
				}
			}
			after := openIn(t, dir, time.Now)
			for _, host := range []string{target, "tcp/api.exfiltr.com:443"} {
				if d := after.Decide(t.Context(), asking(host), Ask{Hold: time.Millisecond}); d.Verdict != Deny {
					t.Errorf("%s: %+v", host, d)
				}
			}
			if after.Health() == nil {
				t.Error("Health knows of nothing")
			}
		})
	}
}

func TestAClockSetBackRevivesNothing(t *testing.T) {
	var mu sync.Mutex
	now := time.Now()
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	set := func(at time.Time) { mu.Lock(); defer mu.Unlock(); now = at }
	dir, begin := t.TempDir(), now
	e := openIn(t, dir, clock)
	asked(t, e, asking(target), Allow, Timed)
	set(begin.Add(2 * time.Hour))
	if d := silent(e, asking(target)); d.Verdict != Deny {
		t.Fatalf("after two hours: %+v", d)
	}
	set(begin)
	if d := silent(e, asking(target)); d.Verdict != Deny {
		t.Fatalf("the clock was set back: %+v", d)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if d := silent(openIn(t, dir, clock), asking(target)); d.Verdict != Deny {
		t.Fatalf("and a new start: %+v", d)
	}
}

func TestTheMoreSpecificRuleWinsAndNoBeatsYes(t *testing.T) {
	rule := func(id, target string, v Verdict) Rule {
		return Rule{ID: id, App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: target, Verdict: v, Lifetime: Always}
	}
	for _, c := range []struct {
		name  string
		rules []Rule
		ask   string
		want  Verdict
		found bool
	}{
		{"nothing", nil, target, Deny, false},
		{"exact", []Rule{rule("a", target, Allow)}, target, Allow, true},
		{"other port", []Rule{rule("a", target, Allow)}, "tcp/api.example.com:80", Deny, false},
		{"other protocol", []Rule{rule("a", target, Allow)}, "udp/api.example.com:443", Deny, false},
		{"wildcard", []Rule{rule("a", "tcp/*.example.com:443", Allow)}, target, Allow, true},
		{"wildcard is not the name itself", []Rule{rule("a", "tcp/*.example.com:443", Allow)}, "tcp/example.com:443", Deny, false},
		{"wildcard is no suffix", []Rule{rule("a", "tcp/*.example.com:443", Allow)}, "tcp/badexample.com:443", Deny, false},
		{"all but one", []Rule{rule("a", "tcp/*.example.com:443", Allow), rule("b", target, Deny)}, target, Deny, true},
		{"none but one", []Rule{rule("a", "tcp/*.example.com:443", Deny), rule("b", target, Allow)}, target, Allow, true},
		{"equal", []Rule{rule("a", target, Allow), rule("b", target, Deny)}, target, Deny, true},
		{"one protocol beats any", []Rule{rule("a", target, Allow), rule("b", "any/api.example.com:443", Deny)}, target, Allow, true},
		{"any, where the one is another", []Rule{rule("a", "udp/api.example.com:443", Allow), rule("b", "any/api.example.com:443", Deny)}, target, Deny, true},
		{"one port beats a range", []Rule{rule("a", target, Allow), rule("b", "tcp/api.example.com:400-500", Deny)}, target, Allow, true},
		{"network", []Rule{rule("a", "tcp/10.0.0.0/8:443", Allow)}, "tcp/10.1.2.3:443", Allow, true},
		{"outside the network", []Rule{rule("a", "tcp/10.0.0.0/8:443", Allow)}, "tcp/11.1.2.3:443", Deny, false},
	} {
		g, err := NewGrants(c.rules)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got, found := g.Lookup(asking(c.ask), time.Now())
		if found != c.found || got.Verdict != c.want {
			t.Errorf("%s: got %+v, %v", c.name, got, found)
		}
	}
}

// 1,000 requests of 50 apps at once: each thing is asked about once, and every
// request is decided once.
func TestManyAppsAtOnce(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	changes, stop := e.Watch()
	defer stop()
	const apps, hosts, each = 50, 4, 5
	var wg sync.WaitGroup
	for a := range apps {
		for h := range hosts {
			r := asking(fmt.Sprintf("tcp/h%d.example.com:443", h))
			r.App.Digest = fmt.Sprintf("sha256:%064x", a)
			for range each {
				wg.Go(func() {
					if d := e.Decide(context.Background(), r, Ask{Hold: time.Minute}); d.Verdict != Allow || d.Rule == "" {
						t.Errorf("got %+v", d)
					}
				})
			}
		}
	}
	all := make(chan struct{})
	go func() { wg.Wait(); close(all) }()
	questions := map[askKey]string{}
	for {
		select {
		case c := <-changes:
			if c.Opened == nil {
				continue
			}
			key := c.Opened.Request.key()
			if id, known := questions[key]; known && id != c.Opened.ID {
				t.Errorf("asked twice: %v", key)
			} else if known {
				continue // the same question, with more behind it
			}
			questions[key] = c.Opened.ID
			if err := e.Answer(t.Context(), answer(*c.Opened, Allow, Always)); err != nil {
				t.Error(err)
			}
		case <-all:
			if len(questions) != apps*hosts || len(e.Rules("")) != apps*hosts || len(e.Pending()) != 0 {
				t.Errorf("%d questions, %d rules, %d left; want %d of each, none left", len(questions), len(e.Rules("")), len(e.Pending()), apps*hosts)
			}
			return
		case <-time.After(2 * time.Minute):
			t.Fatal("stuck")
		}
	}
}

func TestTheLedgerKnowsWhatHappened(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	d := asked(t, e, asking(target), Allow, Always)
	e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, Rule: d.Rule, In: 10, Out: 20})
	if _, err := e.Revoke(t.Context(), Selector{All: true}); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end) && !seen["use"]; time.Sleep(10 * time.Millisecond) {
		lines, err := e.Log(t.Context(), Query{})
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			seen[l.Event] = true
		}
	}
	for _, event := range []string{"ask", "answer", "use", "revoke"} {
		if !seen[event] {
			t.Errorf("no %q line", event)
		}
	}
	if _, err := e.VerifyLog(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestWordsOfAnAppAreCleaned(t *testing.T) {
	for in, bad := range map[string]string{
		"a\u202Eb": "\u202E", "a\u200Bb": "\u200B", "a\nb": "\n", "a\x1b[31mb": "\x1b", "a\u2066b": "\u2066", "a\x00b": "\x00",
	} {
		if got := CleanText(in); strings.Contains(got, bad) || !strings.HasPrefix(got, "a") {
			t.Errorf("%q became %q", in, got)
		}
	}
	if got := CleanText(strings.Repeat("ü", 10_000)); len([]rune(got)) > 201 {
		t.Errorf("%d runes", len([]rune(got)))
	}
}
