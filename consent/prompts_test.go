package consent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// handClock is a clock that a test moves.
type handClock struct {
	mu sync.Mutex
	at time.Time
}

func newHandClock() *handClock {
	return &handClock{at: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
}

func (c *handClock) now() time.Time { c.mu.Lock(); defer c.mu.Unlock(); return c.at }

func (c *handClock) move(d time.Duration) { c.mu.Lock(); defer c.mu.Unlock(); c.at = c.at.Add(d) }

// ask decides in the background; the result comes on the channel.
func ask(e *Engine, r Request) <-chan Decision {
	got := make(chan Decision, 1)
	go func() { got <- e.Decide(context.Background(), r, Ask{Hold: time.Minute}) }()
	return got
}

// until waits for a state of the engine.
func until(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// one waits until exactly one question is pending that stands for n targets.
func one(t *testing.T, e *Engine, n int) Prompt {
	t.Helper()
	var found []Prompt
	until(t, "one question", func() bool {
		found = e.Pending()
		return len(found) == 1 && len(found[0].Also) == n-1
	})
	return found[0]
}

func answer(p Prompt, v Verdict, l Lifetime) Answer {
	return Answer{Request: p.ID, Nonce: p.Nonce, Verdict: v, Lifetime: l, By: "cli"}
}

func TestOneAttemptIsOneQuestion(t *testing.T) {
	for name, c := range map[string]struct {
		kind    Kind
		targets []string
		title   string
	}{
		"ports of a host": {NetConnect, []string{"tcp/api.example.com:443", "udp/api.example.com:443", "tcp/api.example.com:80"},
			"Connect to api.example.com, ports 443 (TCP), 443 (UDP) and 80 (TCP)"},
		"ping and a port": {NetConnect, []string{"icmp/api.example.com:7", "tcp/api.example.com:22"},
			"Connect to api.example.com, port 22 (TCP); and ping it"},
		"paths of a share": {FileRead, []string{"docs/a", "docs/b"}, "Read docs/a and docs/b"},
		"pages of a site":  {URLOpen, []string{"https://example.com/a", "https://example.com/b"}, "Open https://example.com/a and https://example.com/b in your browser"},
	} {
		t.Run(name, func(t *testing.T) {
			clock := newHandClock()
			e := openIn(t, t.TempDir(), clock.now)
			var got []<-chan Decision
			nonce := ""
			for i, target := range c.targets {
				got = append(got, ask(e, Request{App: demo, Run: "run1", Kind: c.kind, Target: target}))
				p := one(t, e, i+1)
				if p.Nonce == nonce {
					t.Error("the question asks for more under the same nonce")
				}
				nonce = p.Nonce
			}
			p := one(t, e, len(c.targets))
			if p.Title != c.title {
				t.Errorf("title: %q", p.Title)
			}
			if err := e.Answer(t.Context(), answer(p, Allow, Always)); err != nil {
				t.Fatal(err)
			}
			for i, target := range c.targets {
				if d := <-got[i]; d.Verdict != Allow || e.rule(d.Rule) == nil || e.rule(d.Rule).Target != target {
					t.Errorf("%s: %+v", target, d)
				}
				if d := silent(e, Request{App: demo, Run: "run1", Kind: c.kind, Target: target}); d.Verdict != Allow {
					t.Errorf("%s the next time: %+v", target, d)
				}
			}
			if rules := e.Rules(""); len(rules) != len(c.targets) {
				t.Errorf("rules: %+v", rules)
			}
		})
	}
}

func TestWhatComesLaterOrFromElsewhereIsItsOwnQuestion(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	ask(e, asking("tcp/a.example:443"))
	one(t, e, 1)
	ask(e, asking("tcp/b.example:443"))
	until(t, "another host is another question", func() bool { return len(e.Pending()) == 2 })
	other := asking("tcp/a.example:80")
	other.App.Digest = "sha256:" + strings.Repeat("f", 64)
	ask(e, other)
	until(t, "another app is another question", func() bool { return len(e.Pending()) == 3 })
	clock.move(sameAttempt)
	ask(e, asking("tcp/a.example:80"))
	until(t, "a second later it is another question", func() bool { return len(e.Pending()) == 4 })
}

func TestAQuestionStandsForSoManyTargetsOnly(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	for port := range maxTargets + 1 {
		ask(e, asking("tcp/a.example:"+string(rune('1'+port%9))+strings.Repeat("0", 1+port/9)))
	}
	until(t, "two questions", func() bool {
		p := e.Pending()
		return len(p) == 2 && len(p[0].Also)+len(p[1].Also) == maxTargets-1
	})
}

// An answer to what was shown is no answer to what is asked for by now.
func TestAnAnswerToLessIsStale(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	got := ask(e, asking("tcp/a.example:443"))
	before := one(t, e, 1)
	more := ask(e, asking("tcp/a.example:22"))
	one(t, e, 2)
	if err := e.Answer(t.Context(), answer(before, Allow, Always)); !errors.Is(err, ErrStaleNonce) {
		t.Fatalf("answered: %v", err)
	}
	if len(got)+len(more) != 0 {
		t.Fatal("released by a stale answer")
	}
}

func TestAWiderAnswerMustCoverAllThatIsAskedFor(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	first := ask(e, asking("tcp/a.example:443"))
	one(t, e, 1)
	second := ask(e, asking("tcp/a.example:22"))
	p := one(t, e, 2)
	a := answer(p, Allow, Always)
	a.Target = "tcp/a.example:443"
	if err := e.Answer(t.Context(), a); !errors.Is(err, ErrBadAnswer) {
		t.Fatalf("half of it: %v", err)
	}
	a.Target = "tcp/a.example:*"
	if err := e.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if d1, d2 := <-first, <-second; d1.Verdict != Allow || d2.Verdict != Allow || d1.Rule == "" || d1.Rule != d2.Rule {
		t.Errorf("%+v, %+v", d1, d2)
	}
}

// What a rule decides meanwhile leaves the question; the rest stays.
func TestARuleTakesItsPartOfAQuestion(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	first := ask(e, asking("tcp/a.example:443"))
	one(t, e, 1)
	second := ask(e, asking("tcp/a.example:22"))
	one(t, e, 2)
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), Kind: NetConnect, Target: "tcp/a.example:443", Verdict: Allow}); err != nil {
		t.Fatal(err)
	}
	if d := <-first; d.Verdict != Allow {
		t.Errorf("%+v", d)
	}
	if p := one(t, e, 1); p.Request.Target != "tcp/a.example:22" || strings.Contains(p.Title, "443") {
		t.Errorf("left over: %+v", p)
	}
	if len(second) != 0 {
		t.Error("decided by another target's rule")
	}
}

func TestOneQuestionOfAnAppIsShown(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	changes, stop := e.Watch()
	defer stop()
	hosts := []string{"tcp/a.example:443", "tcp/b.example:443", "tcp/c.example:443"}
	for i, host := range hosts {
		ask(e, asking(host))
		until(t, host, func() bool { return len(e.Pending()) == i+1 })
		clock.move(time.Millisecond)
	}
	shown := map[string]bool{}
	for i := range hosts {
		all := e.Pending()
		p := all[0]
		if p.Queued || p.Behind != len(all)-1 || p.NotBefore.IsZero() {
			t.Errorf("first of %d: %+v", len(all), p)
		}
		for _, q := range all[1:] {
			if !q.Queued || !q.NotBefore.IsZero() {
				t.Errorf("one that waits: %+v", q)
			}
		}
		for len(changes) > 0 {
			if c := <-changes; c.Opened != nil {
				shown[c.Opened.Request.Target] = true
			}
		}
		if len(shown) != i+1 {
			t.Errorf("after %d answers %v were shown", i, shown)
		}
		if err := e.Answer(t.Context(), answer(p, Allow, Once)); err != nil {
			t.Fatal(err)
		}
	}
}

// Row 54: a click under the cursor or an Enter on the focus answers nothing.
func TestProbe54ButtonsAreDeadForASecond(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	got := ask(e, asking(target))
	p := one(t, e, 1)
	if want := clock.now().Add(time.Second); !p.NotBefore.Equal(want) {
		t.Errorf("not before %s, want %s", p.NotBefore, want)
	}
	queued := ask(e, asking("tcp/b.example:443"))
	until(t, "a second question", func() bool { return len(e.Pending()) == 2 })
	behind := e.Pending()[1]
	for _, by := range []string{"terminal", "notification", "tray", "api", "page", "", "CLI"} {
		for name, press := range map[string]Answer{"shown": answer(p, Allow, Always), "queued": answer(behind, Allow, Always)} {
			press.By = by
			if err := e.Answer(t.Context(), press); !errors.Is(err, ErrTooEarly) {
				t.Errorf("%s from %q: %v", name, by, err)
			}
		}
	}
	clock.move(deadTime - time.Nanosecond)
	press := answer(p, Allow, Once)
	press.By = "tray"
	if err := e.Answer(t.Context(), press); !errors.Is(err, ErrTooEarly) {
		t.Errorf("just before: %v", err)
	}
	clock.move(time.Nanosecond)
	if err := e.Answer(t.Context(), press); err != nil {
		t.Errorf("after a second: %v", err)
	}
	if d := <-got; d.Verdict != Allow {
		t.Errorf("%+v", d)
	}
	// The next one is shown now, and is dead again.
	press = answer(e.Pending()[0], Allow, Once)
	press.By = "tray"
	if err := e.Answer(t.Context(), press); !errors.Is(err, ErrTooEarly) {
		t.Errorf("the next one: %v", err)
	}
	press.By = "cli" // a command names the request: nobody types that by accident
	if err := e.Answer(t.Context(), press); err != nil {
		t.Errorf("by command: %v", err)
	}
	if d := <-queued; d.Verdict != Allow {
		t.Errorf("%+v", d)
	}
}

// Row 54: nothing in a prompt says which answer is taken without a choice, and
// an answer must be whole.
func TestProbe54ThereIsNoDefaultAnswer(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	got := ask(e, asking(target))
	p := one(t, e, 1)
	if err := e.Answer(t.Context(), Answer{Request: p.ID, Nonce: p.Nonce, By: "cli"}); !errors.Is(err, ErrBadAnswer) {
		t.Errorf("an answer that says nothing: %v", err)
	}
	if len(got) != 0 {
		t.Error("it decided")
	}
}

// A client that tries the other address family after a no, or http after https,
// asks nothing new: three attempts are three dismissals, not one.
func TestThreeDismissalsPauseAndOneAttemptIsOne(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	for i := range dismissals {
		if d := asked(t, e, asking(target), Deny, Once); d.Source != FromAnswer {
			t.Fatalf("attempt %d: %+v", i, d)
		}
		for _, again := range []string{target, target, "tcp/api.example.com:80"} {
			if d := e.Decide(t.Context(), asking(again), Ask{}); d.Verdict != Deny || d.Source != FromAnswer {
				t.Fatalf("the same attempt goes on: %+v", d)
			}
		}
		if waiting := e.Pending(); len(waiting) != 0 {
			t.Fatalf("asked again: %+v", waiting)
		}
		clock.move(sameDismissal)
	}
	if d := e.Decide(t.Context(), asking(target), Ask{}); d.Source != FromFlood || !strings.Contains(d.Detail, "paused") {
		t.Errorf("after three: %+v", d)
	}
	other := asking(target)
	other.Run = "run2"
	if d := asked(t, e, other, Allow, Once); d.Verdict != Allow {
		t.Errorf("another run of it is asked: %+v", d)
	}
}

func TestAPauseEnds(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	for range dismissals {
		asked(t, e, asking(target), Deny, Once)
		clock.move(sameDismissal)
	}
	clock.move(pauseTime - sameDismissal - time.Nanosecond)
	if d := e.Decide(t.Context(), asking(target), Ask{}); d.Source != FromFlood {
		t.Errorf("just before the end: %+v", d)
	}
	clock.move(time.Nanosecond)
	if d := asked(t, e, asking(target), Allow, Once); d.Verdict != Allow {
		t.Errorf("after the pause: %+v", d)
	}
}

// A late one-time yes is spent once, by the identical request only.
func TestALateYesIsSpentOnceByTheSameRequest(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond})
	p := pendingPrompt(t, e, target)
	if err := e.Answer(t.Context(), answer(p, Allow, Once)); err != nil {
		t.Fatal(err)
	}
	for _, other := range []Request{
		asking("tcp/api.example.com:80"), asking("udp/api.example.com:443"), asking("tcp/example.com:443"),
		{App: demo, Run: "run1", Kind: URLOpen, Target: "https://api.example.com/"},
	} {
		if d := silent(e, other); d.Verdict != Deny {
			t.Errorf("%s %s used it: %+v", other.Kind, other.Target, d)
		}
	}
	var yes, no sync.WaitGroup
	verdicts := make(chan Verdict, 32)
	for range cap(verdicts) {
		yes.Go(func() { verdicts <- silent(e, asking(target)).Verdict })
		no.Go(func() { // rules that change build the credits anew
			_, _ = e.Allow(context.Background(), Rule{App: demo.ID(), Kind: Notify, Target: "*", Verdict: Deny})
		})
	}
	yes.Wait()
	no.Wait()
	close(verdicts)
	spent := 0
	for v := range verdicts {
		if v == Allow {
			spent++
		}
	}
	if spent != 1 {
		t.Errorf("spent %d times", spent)
	}
}

func TestALateYesToSeveralTargetsIsForEachOnce(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	ctx, leave := context.WithCancel(t.Context())
	var gone sync.WaitGroup
	targets := []string{"tcp/a.example:443", "tcp/a.example:80"}
	for i, host := range targets {
		gone.Go(func() { e.Decide(ctx, asking(host), Ask{Hold: time.Minute}) })
		one(t, e, i+1)
	}
	leave()
	gone.Wait()
	if err := e.Answer(t.Context(), answer(one(t, e, 2), Allow, Once)); err != nil {
		t.Fatal(err)
	}
	for _, host := range targets {
		if first, second := silent(e, asking(host)), silent(e, asking(host)); first.Verdict != Allow || second.Verdict != Deny {
			t.Errorf("%s: %+v, then %+v", host, first, second)
		}
	}
}

// The inbox keeps all targets of a question over a restart.
func TestTheInboxKeepsWholeQuestions(t *testing.T) {
	clock := newHandClock()
	dir := t.TempDir()
	e := openIn(t, dir, clock.now)
	ask(e, asking("tcp/a.example:443"))
	one(t, e, 1)
	ask(e, asking("tcp/a.example:80"))
	was := one(t, e, 2)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openIn(t, dir, clock.now)
	p := one(t, e, 2)
	if p.Title != was.Title || p.Live || p.Nonce == was.Nonce || slices.Compare(p.Also, was.Also) != 0 {
		t.Errorf("%+v, was %+v", p, was)
	}
	if err := e.Answer(t.Context(), answer(p, Allow, Always)); err != nil {
		t.Fatal(err)
	}
	if d := silent(e, asking("tcp/a.example:80")); d.Verdict != Allow {
		t.Errorf("%+v", d)
	}
}
