package consent

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

const day = 24 * time.Hour

func TestAnUnusedYesEnds(t *testing.T) {
	clock, dir := newHandClock(), t.TempDir()
	e := openIn(t, dir, clock.now)
	asked(t, e, asking(target), Allow, Always)
	rule := e.Rules("")[0]
	asked(t, e, asking("tcp/never.example:443"), Deny, Always)
	if want := clock.now().Add(90 * day); !rule.Lapses.Equal(want) {
		t.Errorf("lapses %s, want %s", rule.Lapses, want)
	}
	if why := e.Why(demo, "", NetConnect, target); !strings.Contains(why.Text, rule.Lapses.Local().Format(time.DateOnly)) {
		t.Errorf("why does not say when it ends: %s", why.Text)
	}
	clock.move(90*day - time.Nanosecond)
	if d := silent(e, asking(target)); d.Verdict != Allow {
		t.Fatalf("just before: %+v", d)
	}
	clock.move(time.Nanosecond)
	if d := silent(e, asking(target)); d.Verdict != Deny || d.Source != FromNoInput {
		t.Errorf("after 90 days: %+v", d)
	}
	if d := silent(e, asking("tcp/never.example:443")); d.Source != FromRule {
		t.Errorf("a no lasts: %+v", d)
	}
	e.saveTime()
	if rules := e.Rules(""); len(rules) != 1 || rules[0].Verdict != Deny {
		t.Errorf("rules: %+v", rules)
	}
	lines, err := e.Log(t.Context(), Query{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(lines, func(l Line) bool { return l.Event == "lapse" && l.Rule == rule.ID }) {
		t.Error("the ledger says nothing of it")
	}
	clock.move(-80 * day) // back again: it stays gone
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if d := silent(openIn(t, dir, clock.now), asking(target)); d.Verdict != Deny {
		t.Errorf("the clock was set back: %+v", d)
	}
}

func TestAUsePutsTheEndOff(t *testing.T) {
	clock, dir := newHandClock(), t.TempDir()
	e := openIn(t, dir, clock.now)
	d := asked(t, e, asking(target), Allow, Always)
	clock.move(60 * day)
	e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, Rule: d.Rule})
	if rule := e.Rules("")[0]; !rule.Lapses.Equal(clock.now().Add(90 * day)) {
		t.Errorf("lapses %s", rule.Lapses)
	}
	e.saveTime() // as it comes by itself within an hour
	clock.move(60 * day)
	if d := silent(e, asking(target)); d.Verdict != Allow {
		t.Errorf("120 days after it was given, 60 after its use: %+v", d)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openIn(t, dir, clock.now)
	if d := silent(e, asking(target)); d.Verdict != Allow {
		t.Errorf("after a restart: %+v", d)
	}
	clock.move(30 * day)
	if d := silent(e, asking(target)); d.Verdict != Deny {
		t.Errorf("90 days after its use: %+v", d)
	}
}

func TestHowLongUnusedIsSettable(t *testing.T) {
	for unused, want := range map[time.Duration]Verdict{-1: Allow, 10 * day: Deny, 400 * day: Allow} {
		clock := newHandClock()
		e, err := Open(t.Context(), Config{Dir: t.TempDir(), Now: clock.now, Log: slog.New(slog.DiscardHandler), Unused: unused})
		if err != nil {
			t.Fatal(err)
		}
		asked(t, e, asking(target), Allow, Always)
		clock.move(300 * day)
		if d := silent(e, asking(target)); d.Verdict != want {
			t.Errorf("unused %s: %+v", unused, d)
		}
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}

// A use that is said to lie ahead does not put the end off: uses are not sealed.
func TestAUseAheadOfTimeCountsForNothing(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	d := asked(t, e, asking(target), Allow, Always)
	e.mu.Lock()
	e.uses[d.Rule] = usage{d.Rule, clock.now().Add(1000 * day).UnixNano(), 1}
	e.mu.Unlock()
	if rule := e.Rules("")[0]; !rule.Lapses.Equal(rule.Since.Add(90 * day)) {
		t.Errorf("lapses %s", rule.Lapses)
	}
}
