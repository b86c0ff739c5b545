package consent

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestStopAskingDeniesAllThatNoRuleAllows(t *testing.T) {
	dir := t.TempDir()
	e := openIn(t, dir, time.Now)
	allow := Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: target, Verdict: Allow}
	if _, err := e.Allow(t.Context(), allow); err != nil {
		t.Fatal(err)
	}
	allow.Kind, allow.Target = "data.identity", "email"
	if _, err := e.Allow(t.Context(), allow); err != nil {
		t.Fatal(err)
	}
	waiting := ask(e, asking("tcp/other.example:443"))
	one(t, e, 1)
	rule, err := e.StopAsking(t.Context(), demo, "cli")
	if err != nil {
		t.Fatal(err)
	}
	if d := <-waiting; d.Verdict != Deny || d.Rule != rule.ID {
		t.Errorf("what waited: %+v", d)
	}
	check := func(e *Engine) {
		t.Helper()
		for _, c := range []struct {
			kind   Kind
			target string
			want   Verdict
			given  string
		}{
			{NetConnect, target, Allow, ""}, {NetConnect, "tcp/other.example:443", Deny, ""},
			{FileRead, "docs", Deny, ""}, {Notify, "*", Deny, ""}, {"data.identity", "email", Allow, ""},
			{"data.identity", "email,name", Deny, "email"}, {"data.contacts", "all", Deny, ""},
		} {
			d := e.Decide(t.Context(), Request{App: demo, Run: "run1", Kind: c.kind, Target: c.target}, Ask{Hold: time.Minute})
			if d.Verdict != c.want || d.Source != FromRule || d.Given != c.given {
				t.Errorf("%s %s: %+v", c.kind, c.target, d)
			}
		}
	}
	check(e)
	if w := e.Why(demo, "", FileRead, "docs"); w.Verdict != "deny" || !strings.Contains(w.Text, "everything that no other rule allows") {
		t.Errorf("why: %+v", w)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openIn(t, dir, time.Now)
	check(e)
	if taken, err := e.AskAgain(t.Context(), demo.ID()); err != nil || len(taken) != 1 {
		t.Fatalf("undone: %v, %v", taken, err)
	}
	if d := silent(e, asking("tcp/other.example:443")); d.Source != FromNoInput {
		t.Errorf("after that: %+v", d)
	}
}

func TestEverythingCanOnlyBeDenied(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), Kind: AnyKind, Target: "*", Verdict: Allow}); !errors.Is(err, ErrBadRule) {
		t.Errorf("allowed everything: %v", err)
	}
	if d := e.Decide(t.Context(), Request{App: demo, Run: "r", Kind: AnyKind, Target: "*"}, Ask{}); d.Verdict != Deny || d.Source != FromFault {
		t.Errorf("asked for everything: %+v", d)
	}
	got, behind := ask(e, asking(target)), ask(e, asking("tcp/b.example:443"))
	until(t, "two questions", func() bool { return len(e.Pending()) == 2 })
	p := e.Pending()[0]
	for _, a := range []Answer{answer(p, Allow, Always), answer(p, Deny, Once)} {
		a.Everything = true
		if err := e.Answer(t.Context(), a); !errors.Is(err, ErrBadAnswer) {
			t.Errorf("%s %s: %v", a.Verdict, a.Lifetime, err)
		}
	}
	a := answer(p, Deny, Always)
	a.Everything = true
	if err := e.Answer(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if d1, d2 := <-got, <-behind; d1.Verdict != Deny || d2.Verdict != Deny {
		t.Errorf("%+v, %+v", d1, d2)
	}
	if rules := e.Rules(""); len(rules) != 1 || rules[0].Kind != AnyKind {
		t.Errorf("rules: %+v", rules)
	}
}
