package consent

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// What cannot be written down is not given: neither a question, nor an answer,
// nor a rule, nor a late yes.
func TestAStoreThatIsGoneGivesNothing(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	got := ask(e, asking("tcp/waits.example:443"))
	p := one(t, e, 1)
	e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond})
	if err := e.Answer(t.Context(), answer(pendingPrompt(t, e, target), Allow, Once)); err != nil {
		t.Fatal(err)
	}
	if err := e.store.close(); err != nil {
		t.Fatal(err)
	}
	if d := silent(e, asking(target)); d.Verdict != Deny || d.Source != FromFault {
		t.Errorf("a late yes: %+v", d)
	}
	if d := e.Decide(t.Context(), asking("tcp/new.example:443"), Ask{Hold: time.Minute}); d.Verdict != Deny || d.Source != FromFault {
		t.Errorf("a question: %+v", d)
	}
	if err := e.Answer(t.Context(), answer(p, Allow, Always)); err == nil {
		t.Error("an answer that is not on disk was confirmed")
	}
	if _, err := e.StopAsking(t.Context(), demo, "cli"); err == nil {
		t.Error("a rule that is not on disk was confirmed")
	}
	if len(got) != 0 || len(e.Rules("")) != 0 {
		t.Error("something was given all the same")
	}
}

// The inbox of an app has room for 200; the oldest that nobody waits for go.
func TestTheInboxIsBounded(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	const more = 5
	for i := range maxInbox + more {
		e.Decide(t.Context(), asking(fmt.Sprintf("tcp/h%d.example:443", i)), Ask{Hold: time.Nanosecond})
		clock.move(time.Second)
	}
	waiting := e.Pending()
	if len(waiting) != maxInbox || waiting[0].Request.Target != fmt.Sprintf("tcp/h%d.example:443", more) {
		t.Errorf("%d wait, the oldest for %s", len(waiting), waiting[0].Request.Target)
	}
}

// An engine that is closed decides nothing, and lets nobody wait.
func TestAClosedEngineDenies(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	asked(t, e, asking(target), Allow, Always)
	got := ask(e, asking("tcp/waits.example:443"))
	one(t, e, 1)
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if d := <-got; d.Verdict != Deny {
		t.Errorf("what waited: %+v", d)
	}
	for _, host := range []string{target, "tcp/new.example:443"} {
		if d := e.Decide(t.Context(), asking(host), Ask{Hold: time.Minute}); d.Verdict != Deny || d.Source != FromFault {
			t.Errorf("%s: %+v", host, d)
		}
	}
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), Kind: Notify, Target: "*", Verdict: Allow}); !errors.Is(err, errClosed) {
		t.Errorf("a rule: %v", err)
	}
}

// Lookup itself takes canonical targets only, whatever the rules are.
func TestLookupRefusesOtherSpellings(t *testing.T) {
	g, err := NewGrants([]Rule{
		{ID: "a", App: demo.ID(), Kind: NetConnect, Target: "any/*:*", Verdict: Allow, Lifetime: Always},
		{ID: "b", App: demo.ID(), Kind: NetConnect, Target: "any/0.0.0.0/0:*", Verdict: Allow, Lifetime: Always},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind Kind
		text string
	}{
		{NetConnect, "tcp/API.example.com:443"}, {NetConnect, "tcp/0x7f.1:80"}, {NetConnect, "any/a.example:1"}, {NetConnect, ""},
		{NetConnect, "tcp/169.254.169.254:80"}, {"device.camera", "front"}, {FileRead, ""}, {AnyKind, "*"},
	} {
		if d, decided := g.Lookup(Request{App: demo, Kind: c.kind, Target: c.text}, begin); !decided || d.Verdict != Deny || d.Source != FromFault {
			t.Errorf("%s %q: %+v, %v", c.kind, c.text, d, decided)
		}
	}
}

// A rule that is given while a question is being written settles it.
func TestARuleSettlesWhatIsBeingAsked(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	for i := range 50 {
		host := fmt.Sprintf("tcp/h%d.example:443", i)
		got := ask(e, asking(host))
		if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), Kind: NetConnect, Target: host, Verdict: Allow}); err != nil {
			t.Fatal(err)
		}
		if d := <-got; d.Verdict != Allow {
			t.Errorf("%+v", d)
		}
	}
	until(t, "nothing waits", func() bool { return len(e.Pending()) == 0 })
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.shown)+len(e.byID)+len(e.byApp) != 0 {
		t.Errorf("left over: %d shown, %d by id, %d by app", len(e.shown), len(e.byID), len(e.byApp))
	}
}

// A rule allows, and yet what cannot be written down is not allowed.
func TestNothingIsAllowedThatCannotBeWrittenDown(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: target, Verdict: Allow}); err != nil {
		t.Fatal(err)
	}
	if d := silent(e, asking(target)); d.Verdict != Allow {
		t.Fatalf("before: %+v", d)
	}
	e.store.worry(errors.New("no room"))
	if d := silent(e, asking(target)); d.Verdict != Deny || d.Source != FromFault || !strings.Contains(d.Detail, "no room") {
		t.Errorf("%+v", d)
	}
}

// A no without a question stands in the ledger, with what decided.
func TestARefusalHasItsLine(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	rule, err := e.Allow(t.Context(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: target, Verdict: Deny})
	if err != nil {
		t.Fatal(err)
	}
	const open = "tcp/other.example.com:443"
	for _, r := range []Request{asking(target), asking(open), {App: demo, Run: "run1", Kind: "device.camera", Target: "front"}} {
		if d := silent(e, r); d.Verdict != Deny {
			t.Fatalf("%+v", d)
		}
	}
	want := map[string]Line{
		target:  {Source: string(FromRule), Rule: rule.ID},
		open:    {Source: string(FromNoInput)},
		"front": {Source: string(FromFault)},
	}
	until(t, "three lines stand there", func() bool {
		lines, err := e.Log(t.Context(), Query{})
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, l := range lines {
			if w, there := want[l.Target]; there && l.Event == "deny" && l.Source == w.Source && l.Rule == w.Rule && l.Verdict == "deny" {
				n++
			}
		}
		return n == 3
	})
}
