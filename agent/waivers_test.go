package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/sandbox"
)

// surveyedHost is a host on a machine that cannot raise some walls.
type surveyedHost struct {
	sandbox.Host
	walls []sandbox.Wall
}

func (h surveyedHost) Survey(context.Context) []sandbox.Wall { return slices.Clone(h.walls) }

func agentWithout(t *testing.T, dir string, walls ...sandbox.Wall) *Agent {
	t.Helper()
	kept, err := openWaivers(dir)
	if err != nil {
		t.Fatal(err)
	}
	return &Agent{cfg: Config{Image: surveyedHost{walls: walls}}, waivers: kept}
}

func wanting(digest string, waive ...string) *record {
	rec := &record{App: app.App{Name: "x", Digest: digest}, Request: api.RunRequest{Waive: waive}}
	rec.Spec.Image = &sandbox.Image{}
	return rec
}

var noLSM = sandbox.Wall{Name: "eBPF LSM", Required: true, Waiver: sandbox.WaiveLSM, Detail: "why"}

func TestAWallIsMissingOnlyAfterAYesForThatApp(t *testing.T) {
	dir := t.TempDir()
	a := agentWithout(t, dir, noLSM)
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
	a = agentWithout(t, dir, noLSM) // as after a restart
	later := wanting("sha256:1")
	if err := a.waive(t.Context(), later); err != nil || !slices.Equal(later.Spec.Waived, []string{sandbox.WaiveLSM}) {
		t.Errorf("asked again: %v, %v", err, later.Spec.Waived)
	}
	if err := a.waive(t.Context(), wanting("sha256:2")); err == nil {
		t.Error("the yes went over to another app")
	}
	if err := a.waivers.set("sha256:1", nil); err != nil {
		t.Fatal(err)
	}
	if err := a.waive(t.Context(), wanting("sha256:1")); err == nil || len(a.waivers.list()) > 0 {
		t.Error("what was taken back still holds")
	}
}

func TestWaiversThatCannotBeReadWaiveNothing(t *testing.T) {
	for _, text := range []string{"", "{", "null", "[]", `{"sha256:1":["seccomp"]}`, `{"sha256:1":["ebpf-lsm","seccomp"]}`} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, waiversFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := agentWithout(t, dir, noLSM).waive(t.Context(), wanting("sha256:1")); err == nil {
			t.Errorf("%q waived a wall", text)
		}
	}
}

func TestWallsThatStandNeedNoWaiver(t *testing.T) {
	stands := noLSM
	stands.Stands = true
	a := agentWithout(t, t.TempDir(), stands)
	if err := a.waive(t.Context(), wanting("sha256:1")); err != nil {
		t.Error(err)
	}
}
