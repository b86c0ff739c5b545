package consent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	"github.com/consentry/consentry/app"
)

// The rows of the threat table that are about asking: 52 to 56 (54 is in
// prompts_test.go).

// Row 52: 1,000 requests in a second are one question before the user; what
// waits is bounded, the rest is refused at once, and three dismissals pause.
func TestProbe52AFloodIsOneQuestion(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	changes, stop := e.Watch()
	defer stop()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	const flood = 1000
	var mu sync.Mutex
	sources := map[Source]int{}
	var all sync.WaitGroup
	for i := range flood {
		all.Go(func() {
			d := e.Decide(ctx, asking(fmt.Sprintf("tcp/h%d.example:443", i)), Ask{Hold: time.Hour})
			if d.Verdict != Deny {
				t.Errorf("let through: %+v", d)
			}
			mu.Lock()
			defer mu.Unlock()
			sources[d.Source]++
		})
	}
	until(t, "the rest is refused", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return sources[FromFlood] == flood-maxLive
	})
	until(t, "questions on disk", func() bool { return len(e.Pending()) == maxLive })
	shown := map[string]bool{}
	for len(changes) > 0 {
		if c := <-changes; c.Opened != nil {
			shown[c.Opened.ID] = true
		}
	}
	if len(shown) != 1 {
		t.Errorf("%d questions were shown at once", len(shown))
	}
	for range dismissals {
		clock.move(deadTime)
		waiting := e.Pending()
		no := answer(waiting[slices.IndexFunc(waiting, func(p Prompt) bool { return !p.Queued })], Deny, Once)
		no.By = "tray"
		if err := e.Answer(t.Context(), no); err != nil {
			t.Fatal(err)
		}
	}
	if d := e.Decide(ctx, asking("tcp/one.more.example:443"), Ask{}); d.Source != FromFlood || !strings.Contains(d.Detail, "paused") {
		t.Errorf("after %d dismissals: %+v", dismissals, d)
	}
	leave()
	all.Wait()
	if sources[FromAnswer] != dismissals || sources[FromHold] != maxLive-dismissals {
		t.Errorf("how they ended: %v", sources)
	}
}

// Row 52: the same thing a thousand times is one question that stands for all.
func TestProbe52TheSameThingIsAskedOnce(t *testing.T) {
	e := openIn(t, t.TempDir(), newHandClock().now)
	var all sync.WaitGroup
	const times = 500
	for range times {
		all.Go(func() {
			if d := e.Decide(t.Context(), asking(target), Ask{Hold: time.Hour}); d.Verdict != Allow {
				t.Errorf("%+v", d)
			}
		})
	}
	until(t, "all wait", func() bool { p := e.Pending(); return len(p) == 1 && p[0].Count == times })
	if err := e.Answer(t.Context(), answer(e.Pending()[0], Allow, Once)); err != nil {
		t.Fatal(err)
	}
	all.Wait()
}

// Row 52: a burst from one app leaves another app's questions alone.
func TestProbe52AFloodStarvesNobodyElse(t *testing.T) {
	e := openIn(t, t.TempDir(), newHandClock().now)
	for i := range maxLive {
		ask(e, asking(fmt.Sprintf("tcp/h%d.example:443", i)))
	}
	until(t, "the flood waits", func() bool { return len(e.Pending()) == maxLive })
	other := asking(target)
	other.App = app.App{Name: "other", Digest: "sha256:" + strings.Repeat("e", 64)}
	got := ask(e, other)
	p := pendingPrompt(t, e, target)
	if p.Queued {
		t.Error("it waits behind another app's questions")
	}
	if err := e.Answer(t.Context(), answer(p, Allow, Once)); err != nil {
		t.Fatal(err)
	}
	if d := <-got; d.Verdict != Allow {
		t.Errorf("%+v", d)
	}
}

// hostile are names and reasons that try to be something else.
var hostile = map[string]string{
	"right to left":  "\u202Egnp.exe",
	"isolates":       "\u2066demo\u2069",
	"zero width":     "pay\u200Bpal\u200D\uFEFF",
	"new line":       "demo\n  1  Allow always",
	"separators":     "demo\u2028\u2029\u0085x",
	"escape":         "\x1b[2J\x1b[Hdemo",
	"look-alike":     "p\u0430ypal",
	"tags":           "demo\U000E0041\U000E0042",
	"ten kilobytes":  strings.Repeat("x", 10<<10),
	"combining":      "d" + strings.Repeat("\u0301", 500),
	"not UTF-8":      "demo\xff\xfe\x80",
	"soft hyphen":    "de\u00ADmo",
	"hangul fillers": "\u3164\u115F\uFFA0",
	"empty":          "",
	"blank":          " \t\u2800 ",
}

// Row 53: names and reasons are cleaned, and stand in no title and on no button.
func TestProbe53NamesAreCleanAndInNoTitle(t *testing.T) {
	for name, text := range hostile {
		t.Run(name, func(t *testing.T) {
			e := openIn(t, t.TempDir(), newHandClock().now)
			ask(e, Request{App: app.App{Name: text, Digest: demo.Digest}, Run: "run1", Kind: NetConnect, Target: target, Reason: text})
			p := one(t, e, 1)
			if p.AppName == "" || len([]rune(p.AppName)) > maxRunes || len([]rune(p.Reason)) > maxRunes {
				t.Errorf("name of %d runes, reason of %d", len([]rune(p.AppName)), len([]rune(p.Reason)))
			}
			for _, shown := range []string{p.AppName, p.Reason, p.Title, p.Consequence, p.Blast, p.LooksLike} {
				for _, r := range shown {
					if r != ' ' && !unicode.IsGraphic(r) || hasNoShape(r) || r != ' ' && unicode.Is(unicode.Z, r) {
						t.Errorf("%U in %q", r, shown)
					}
				}
			}
			if p.Title != "Connect to api.example.com, port 443 (TCP)" {
				t.Errorf("title: %q", p.Title)
			}
			for i, c := range p.Choices {
				if c.Label != choices[i].Label {
					t.Errorf("button: %q", c.Label)
				}
			}
		})
	}
}

// Row 53: a target cannot carry what a name cannot.
func TestProbe53TargetsInTitlesAreSpelledOut(t *testing.T) {
	e := openIn(t, t.TempDir(), newHandClock().now)
	ask(e, Request{App: demo, Run: "run1", Kind: FileRead, Target: "docs/\u202Etxt.exe\u200B/" + strings.Repeat("y", 1000)})
	p := one(t, e, 1)
	if !strings.HasPrefix(p.Title, "Read docs/<U+202E>txt.exe<U+200B>/") || len([]rune(p.Title)) > maxRunes+len("Read ") {
		t.Errorf("title: %q", p.Title)
	}
	for _, bad := range []string{"docs/a\nb", "docs/\x1b[2J", "docs/\x00"} {
		r := Request{App: demo, Run: "run1", Kind: FileRead, Target: bad}
		if d := e.Decide(t.Context(), r, Ask{}); d.Source != FromFault {
			t.Errorf("%q: %+v", bad, d)
		}
	}
}

// Row 53: an app that looks like one the user knows is shown as another one.
func TestProbe53LookAlikesAreNamed(t *testing.T) {
	other := func(name string) Request {
		r := asking(target)
		r.App = app.App{Name: name, Digest: "sha256:" + strings.Repeat("d", 64)}
		return r
	}
	for name, c := range map[string]struct{ known, asks, warns string }{
		"letters":        {"paypal", "paypa1", "looks like “paypal”, but this is another app"},
		"capital":        {"docker.io/library/nginx", "docker.io/Iibrary/nginx", "looks like “docker.io/library/nginx”"},
		"cyrillic":       {"paypal", "p\u0430ypal", "looks like “paypal”"},
		"all cyrillic":   {"coce", "\u0441\u043e\u0441\u0435", "looks like “coce”"},
		"case":           {"PayPal", "paypal", "looks like “PayPal”"},
		"the same":       {"demo", "demo", "another app of this name"},
		"something else": {"paypal", "demo", ""},
	} {
		t.Run(name, func(t *testing.T) {
			e := openIn(t, t.TempDir(), time.Now)
			if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), AppName: c.known, Kind: Notify, Target: "*", Verdict: Allow}); err != nil {
				t.Fatal(err)
			}
			ask(e, other(c.asks))
			p := one(t, e, 1)
			if (p.LooksLike != "") != (c.warns != "") || !strings.Contains(p.LooksLike, c.warns) {
				t.Errorf("warning: %q", p.LooksLike)
			}
		})
	}
	t.Run("itself", func(t *testing.T) {
		e := openIn(t, t.TempDir(), time.Now)
		asked(t, e, asking(target), Allow, Always)
		ask(e, asking("tcp/b.example:443"))
		if p := one(t, e, 1); p.LooksLike != "" {
			t.Errorf("an app is said to look like itself: %q", p.LooksLike)
		}
	})
}

// Row 55: an answer counts once, for the showing it was given to.
func TestProbe55ReplayedAndStaleAnswersAreRefused(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	got := ask(e, asking(target))
	p := one(t, e, 1)
	yes := answer(p, Allow, Once)
	if err := e.Answer(t.Context(), yes); err != nil {
		t.Fatal(err)
	}
	<-got
	if err := e.Answer(t.Context(), yes); !errors.Is(err, ErrNoSuchRequest) {
		t.Errorf("replayed: %v", err)
	}
	// Shown, left alone, asked again: what was given to the first showing is stale.
	if d := e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond}); d.Source != FromHold {
		t.Fatalf("%+v", d)
	}
	first := one(t, e, 1)
	again := ask(e, asking(target))
	until(t, "shown again", func() bool { p := e.Pending(); return len(p) == 1 && p[0].Live })
	if err := e.Answer(t.Context(), answer(first, Allow, Always)); !errors.Is(err, ErrStaleNonce) {
		t.Errorf("stale: %v", err)
	}
	// The nonce of one request is none of another.
	ask(e, asking("tcp/b.example:443"))
	until(t, "two", func() bool { return len(e.Pending()) == 2 })
	both := e.Pending()
	forged := answer(both[0], Allow, Always)
	forged.Nonce = both[1].Nonce
	if err := e.Answer(t.Context(), forged); !errors.Is(err, ErrStaleNonce) {
		t.Errorf("of another request: %v", err)
	}
	if len(again) != 0 || len(e.Rules("")) != 0 {
		t.Error("a refused answer had an effect")
	}
}

// Row 55: a request that nobody answered in a day takes no answer.
func TestProbe55AnAnswerComesTooLate(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond})
	p := one(t, e, 1)
	clock.move(inboxAge)
	if len(e.Pending()) != 1 {
		t.Error("gone before its time")
	}
	clock.move(time.Nanosecond)
	if err := e.Answer(t.Context(), answer(p, Allow, Always)); !errors.Is(err, ErrNoSuchRequest) {
		t.Errorf("after a day: %v", err)
	}
	if len(e.Rules("")) != 0 || len(e.Pending()) != 0 {
		t.Error("it had an effect")
	}
}

// Row 56: a clock that is set back revives nothing, and one set forward and
// back again leaves ended what has ended; over restarts too.
func TestProbe56TheClock(t *testing.T) {
	for name, forward := range map[string]time.Duration{"an hour on": time.Hour, "a year on": 365 * 24 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			clock, dir := newHandClock(), t.TempDir()
			e := openIn(t, dir, clock.now)
			asked(t, e, asking(target), Allow, Timed)
			asked(t, e, asking("tcp/kept.example:443"), Allow, Always)
			clock.move(time.Hour - time.Nanosecond)
			if d := silent(e, asking(target)); d.Verdict != Allow {
				t.Fatalf("just before its end: %+v", d)
			}
			clock.move(forward)
			if d := silent(e, asking(target)); d.Verdict != Deny {
				t.Fatalf("after its end: %+v", d)
			}
			for _, back := range []time.Duration{-forward, -24 * time.Hour, -1000 * 24 * time.Hour} {
				clock.move(back)
				if d := silent(e, asking(target)); d.Verdict != Deny {
					t.Errorf("set back by %s: %+v", back, d)
				}
			}
			if err := e.Close(); err != nil {
				t.Fatal(err)
			}
			e = openIn(t, dir, clock.now)
			if d := silent(e, asking(target)); d.Verdict != Deny {
				t.Errorf("after a restart: %+v", d)
			}
			if d := silent(e, asking("tcp/kept.example:443")); (d.Verdict == Allow) != (forward < defaultUnused) {
				t.Errorf("a yes for always: %+v", d)
			}
			// What is given now ends too: time goes on from the highest ever seen.
			asked(t, e, asking("tcp/new.example:443"), Allow, Timed)
			clock.move(time.Hour)
			if d := silent(e, asking("tcp/new.example:443")); d.Verdict != Deny {
				t.Errorf("given afterwards: %+v", d)
			}
		})
	}
}
