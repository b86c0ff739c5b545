package consent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/app"
)

// knowing asks for fields of the user's data.
func knowing(fields string) Request {
	return Request{App: demo, Run: "run1", Kind: "data.identity", Target: fields}
}

func TestAYesToSomeFields(t *testing.T) {
	for name, c := range map[string]struct {
		give  []string
		life  Lifetime
		given string // of the request that waits; "" with a yes to all
		rules []string
	}{
		"some, always":  {[]string{"name", "email"}, Always, "email,name", []string{"allow email,name", "deny phone"}},
		"some, a while": {[]string{"phone"}, Timed, "phone", []string{"allow phone", "deny email,name"}},
		"some, the run": {[]string{"phone"}, Run, "phone", []string{"allow phone", "deny email,name"}},
		"some, once":    {[]string{"email"}, Once, "email", nil},
		"all, always":   {[]string{"phone", "email", "name"}, Always, "", []string{"allow email,name,phone"}},
		"not said":      {nil, Always, "", []string{"allow email,name,phone"}},
	} {
		t.Run(name, func(t *testing.T) {
			e := openIn(t, t.TempDir(), time.Now)
			got := ask(e, knowing("email,name,phone"))
			a := answer(one(t, e, 1), Allow, c.life)
			a.Fields = c.give
			if c.life == Timed {
				a.For = time.Hour
			}
			if err := e.Answer(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			d := <-got
			if d.Given != c.given || (d.Verdict == Allow) != (c.given == "") || (d.Rule == "") != (c.rules == nil) {
				t.Errorf("%+v", d)
			}
			var rules []string
			for _, r := range e.Rules("") {
				rules = append(rules, r.Verdict.String()+" "+r.Target)
			}
			slices.Sort(rules)
			if !slices.Equal(rules, c.rules) {
				t.Errorf("rules: %q", rules)
			}
			if c.rules == nil || c.given == "" {
				return
			}
			if d := silent(e, knowing("email,name,phone")); d.Verdict != Deny || d.Source != FromRule || d.Given != c.given {
				t.Errorf("the next time: %+v", d)
			}
			if d := silent(e, knowing(c.given)); d.Verdict != Allow {
				t.Errorf("only what was given: %+v", d)
			}
		})
	}
}

func TestAnswersThatARequestCannotHave(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	data, net := ask(e, knowing("email,name")), ask(e, asking(target))
	until(t, "two", func() bool { return len(e.Pending()) == 2 })
	for name, c := range map[string]struct {
		of     string
		change func(*Answer)
	}{
		"no known verdict":      {target, func(a *Answer) { a.Verdict, a.Lifetime = Allow+1, Once }},
		"no time":               {target, func(a *Answer) { a.Lifetime, a.For = Timed, 0 }},
		"time before":           {target, func(a *Answer) { a.Lifetime, a.For = Timed, -time.Hour }},
		"more than a year":      {target, func(a *Answer) { a.Lifetime, a.For = Timed, maxTime+1 }},
		"no lifetime":           {target, func(a *Answer) { a.Lifetime = "" }},
		"no target":             {target, func(a *Answer) { a.Target = "tcp/:443" }},
		"narrower":              {target, func(a *Answer) { a.Target = "tcp/api.example.com:80" }},
		"fields of a flow":      {target, func(a *Answer) { a.Fields = []string{"email"} }},
		"a field not asked for": {"email,name", func(a *Answer) { a.Fields = []string{"email", "phone"} }},
		"no field":              {"email,name", func(a *Answer) { a.Fields = []string{""} }},
		"fields of a no":        {"email,name", func(a *Answer) { a.Verdict, a.Fields = Deny, []string{"email"} }},
		"fields and a target":   {"email,name", func(a *Answer) { a.Target, a.Fields = "email,name,phone", []string{"email"} }},
	} {
		a := answer(pendingPrompt(t, e, c.of), Allow, Always)
		c.change(&a)
		if err := e.Answer(t.Context(), a); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(data)+len(net) != 0 || len(e.Rules("")) != 0 || len(e.Pending()) != 2 {
		t.Error("one of them had an effect")
	}
}

// An answer for the run, when no run that asked is left, lasts for nothing.
func TestARunThatHasEndedTakesNoAnswerForIt(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	got := ask(e, asking(target))
	p := one(t, e, 1)
	e.RunEnded("run1")
	if d := <-got; d.Verdict != Deny || d.Source != FromHold {
		t.Errorf("what waited: %+v", d)
	}
	if slices.ContainsFunc(one(t, e, 1).Choices, func(c Choice) bool { return c.Lifetime == Run }) {
		t.Error("it is offered")
	}
	if err := e.Answer(t.Context(), answer(p, Allow, Run)); !errors.Is(err, ErrBadAnswer) {
		t.Errorf("answered: %v", err)
	}
}

// Fields given once to an app that waits no more would be a rule by stealth.
func TestSomeFieldsOnceNeedAnAppThatWaits(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	e.Decide(t.Context(), knowing("email,name"), Ask{Hold: time.Millisecond})
	a := answer(one(t, e, 1), Allow, Once)
	a.Fields = []string{"email"}
	if err := e.Answer(t.Context(), a); !errors.Is(err, ErrBadAnswer) {
		t.Fatal(err)
	}
}

func TestALateOnceYesEnds(t *testing.T) {
	for passed, want := range map[time.Duration]Verdict{lateOnce - 1: Allow, lateOnce: Deny} {
		clock := newHandClock()
		e := openIn(t, t.TempDir(), clock.now)
		e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond})
		if err := e.Answer(t.Context(), answer(one(t, e, 1), Allow, Once)); err != nil {
			t.Fatal(err)
		}
		if why := e.Why(demo, "run1", NetConnect, target); why.Verdict != "allow" {
			t.Errorf("why: %+v", why)
		}
		clock.move(passed)
		if d := silent(e, asking(target)); d.Verdict != want {
			t.Errorf("after %s: %+v", passed, d)
		}
		if d := silent(e, asking(target)); d.Verdict != Deny {
			t.Errorf("a second time: %+v", d)
		}
	}
}

// A late one-time no is no rule: the next try is asked about.
func TestALateOnceNoIsForgotten(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond})
	if err := e.Answer(t.Context(), answer(one(t, e, 1), Deny, Once)); err != nil {
		t.Fatal(err)
	}
	clock.move(sameDismissal)
	if d := asked(t, e, asking(target), Allow, Once); d.Verdict != Allow {
		t.Errorf("%+v", d)
	}
}

func TestRequestsThatCannotBe(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if d := e.Decide(ctx, asking(target), Ask{}); d.Verdict != Deny || d.Source != FromFault {
		t.Errorf("of a caller that has left: %+v", d)
	}
	if len(e.Pending()) != 0 {
		t.Error("it was asked about")
	}
	for name, r := range map[string]Request{
		"no app":          {Run: "run1", Kind: NetConnect, Target: target},
		"unknown kind":    {App: demo, Kind: "device.camera", Target: "front"},
		"no target":       {App: demo, Kind: FileRead, Target: ""},
		"a huge target":   {App: demo, Kind: FileRead, Target: strings.Repeat("x", maxTarget+1)},
		"metadata":        {App: demo, Kind: NetConnect, Target: "tcp/169.254.169.254:80"},
		"metadata in v6":  {App: demo, Kind: NetConnect, Target: "tcp/[::ffff:a9fe:a9fe]:80"},
		"an unclean name": {App: app.App{Name: "de\u202Emo", Publisher: "registry.example", Digest: demo.Digest}, Kind: NetConnect, Target: target},
	} {
		if d := e.Decide(t.Context(), r, Ask{Hold: time.Minute}); d.Verdict != Deny || d.Source != FromFault {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

// Metadata addresses are refused whatever the rules say.
func TestMetadataIsNeverGranted(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), Kind: NetConnect, Target: "any/0.0.0.0/0:*", Verdict: Allow}); err != nil {
		t.Fatal(err)
	}
	for _, addr := range metadata {
		text, err := NetTarget("tcp", addr.String(), 80)
		if err != nil {
			t.Fatal(err)
		}
		if d := silent(e, asking(text)); d.Verdict != Deny {
			t.Errorf("%s: %+v", text, d)
		}
	}
	if d := silent(e, asking("tcp/169.254.169.253:80")); d.Verdict != Allow {
		t.Errorf("its neighbour: %+v", d)
	}
}

// A request that never ends in a second more than the bound is refused, also
// when it would join a question that is there already.
func TestTheRateOfRequestsIsBounded(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	for i := range maxRate {
		if d := e.Decide(t.Context(), asking(target), Ask{NoInput: true}); d.Source != FromNoInput {
			t.Fatalf("%d: %+v", i, d)
		}
	}
	e.mu.Lock() // what is not asked about costs nothing and is not counted
	count := e.trafficOf(demo.ID(), clock.now()).count
	e.trafficOf(demo.ID(), clock.now()).count = maxRate
	e.mu.Unlock()
	if count != 0 {
		t.Errorf("%d counted", count)
	}
	if d := e.Decide(t.Context(), asking(target), Ask{}); d.Source != FromFlood || !strings.Contains(d.Detail, "requests a second") {
		t.Errorf("one too many: %+v", d)
	}
	clock.move(time.Second)
	if d := asked(t, e, asking(target), Allow, Once); d.Verdict != Allow {
		t.Errorf("a second later: %+v", d)
	}
}

// A run's answers end with it; another run of the app has its own.
func TestAnswersForARunAreItsOwn(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	asked(t, e, asking(target), Allow, Run)
	other := asking(target)
	other.Run = "run2"
	if d := silent(e, other); d.Verdict != Deny {
		t.Errorf("another run: %+v", d)
	}
	e.RunEnded("run2")
	if d := silent(e, asking(target)); d.Verdict != Allow {
		t.Errorf("after the end of another run: %+v", d)
	}
	e.RunEnded("run1")
	if d := silent(e, asking(target)); d.Verdict != Deny {
		t.Errorf("after its end: %+v", d)
	}
}
