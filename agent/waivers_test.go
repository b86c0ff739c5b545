//go:build unix

package agent

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// surveyedHost is a host on a machine that cannot raise some walls.
type surveyedHost struct {
	sandbox.Host
	walls []sandbox.Wall
}

func (h surveyedHost) Survey(context.Context) []sandbox.Wall { return slices.Clone(h.walls) }

func agentWithout(t *testing.T, walls ...sandbox.Wall) *Agent {
	t.Helper()
	a := newTestAgent(t).Agent
	a.cfg.Image = surveyedHost{walls: walls}
	return a
}

func wanting(digest string, waive ...string) *record {
	rec := &record{App: app.App{Name: "x", Digest: digest}, Request: api.RunRequest{Waive: waive}}
	rec.Spec.Image = &sandbox.Image{}
	return rec
}

var noLSM = sandbox.Wall{Name: "eBPF LSM", Required: true, Waiver: sandbox.WaiveLSM, Detail: "why"}

func TestAWallIsMissingOnlyAfterAYesForThatApp(t *testing.T) {
	a := agentWithout(t, noLSM)
	var refusal *api.Error
	err := a.waive(t.Context(), wanting("sha256:1"))
	if !errors.As(err, &refusal) || refusal.Code != api.CodeWall || !slices.Equal(refusal.Waive, []string{sandbox.WaiveLSM}) ||
		!strings.Contains(refusal.Hint, "--waive ebpf-lsm") || !strings.Contains(refusal.Message, "why") {
		t.Fatalf("%v %+v", err, refusal)
	}
	if err := a.waive(t.Context(), wanting("sha256:1", sandbox.WaiveCgroup)); err == nil {
		t.Error("another wall's waiver did")
	}
	if err := a.waive(t.Context(), wanting("sha256:1", sandbox.WaiveLSM)); err != nil {
		t.Fatal(err)
	}
	later := wanting("sha256:1")
	if err := a.waive(t.Context(), later); err != nil || !slices.Equal(later.Spec.Waived, []string{sandbox.WaiveLSM}) {
		t.Errorf("asked again: %v, %v", err, later.Spec.Waived)
	}
	if err := a.waive(t.Context(), wanting("sha256:2")); err == nil {
		t.Error("the yes went over to another app")
	}
	if _, err := a.engine.Revoke(t.Context(), consent.Selector{App: "sha256:1"}); err != nil {
		t.Fatal(err)
	}
	if err := a.waive(t.Context(), wanting("sha256:1")); err == nil || len(a.waiverRules("")) > 0 {
		t.Error("what was taken back still holds")
	}
}

// Only what the user said of that app, for good, waives: no app can ask for it,
// and a no beats it.
func TestWhatWaivesNothing(t *testing.T) {
	a := agentWithout(t, noLSM)
	rec := wanting("sha256:1")
	d := a.engine.Decide(t.Context(), consent.Request{App: rec.App, Run: "r", Kind: consent.WallWaive, Target: sandbox.WaiveLSM}, consent.Ask{Hold: time.Second})
	if d.Verdict != consent.Deny || d.Source != consent.FromFault || len(a.engine.Pending()) > 0 {
		t.Errorf("an app asked for it: %+v", d)
	}
	for name, rule := range map[string]consent.Rule{
		"of a run":       {Target: sandbox.WaiveLSM, Verdict: consent.Allow, Lifetime: consent.Run, Run: "r"},
		"a no":           {Target: sandbox.WaiveLSM, Verdict: consent.Deny},
		"of no wall":     {Target: "no-wall", Verdict: consent.Allow},
		"of another one": {Target: sandbox.WaiveCgroup, Verdict: consent.Allow},
	} {
		rule.App, rule.Kind = rec.App.ID(), consent.WallWaive
		if _, err := a.engine.Give(t.Context(), []consent.Rule{rule}); err != nil {
			t.Fatal(err)
		}
		if err := a.waive(t.Context(), wanting("sha256:1")); err == nil {
			t.Errorf("%s waived a wall", name)
		}
	}
	if err := a.waive(t.Context(), wanting("sha256:1", "seccomp")); err == nil {
		t.Error("a wall that cannot be waived was")
	}
}

func TestWallsThatStandNeedNoWaiver(t *testing.T) {
	stands := noLSM
	stands.Stands = true
	a := agentWithout(t, stands)
	if err := a.waive(t.Context(), wanting("sha256:1")); err != nil {
		t.Error(err)
	}
}

// What is said again for the same app is not given again; each start uses it once.
func TestAWaiverIsGivenOnce(t *testing.T) {
	a := agentWithout(t, noLSM)
	for range 3 {
		if err := a.waive(t.Context(), wanting("sha256:1", sandbox.WaiveLSM)); err != nil {
			t.Fatal(err)
		}
	}
	lines, err := a.engine.Log(t.Context(), consent.Query{Kind: string(consent.WallWaive)})
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	for _, l := range lines {
		count[l.Event]++
	}
	if count["allow"] != 1 || count["use"] != 2 {
		t.Errorf("given %d times, used %d: %+v", count["allow"], count["use"], lines)
	}
}
