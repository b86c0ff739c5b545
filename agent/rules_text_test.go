//go:build unix

package agent

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// does is the plan in short.
func does(plan api.ImportPlan) string {
	var words []string
	for _, i := range plan.Items {
		words = append(words, i.Does+" "+i.Target)
	}
	return strings.Join(words, ", ")
}

func TestImportShowsFirstAndIsAllOrNothing(t *testing.T) {
	w := newTestAgent(t)
	ctx := t.Context()
	const text = `app sha256:aa tool
allow net.connect a.example:443
deny net.connect tcp/b.example:443
allow notify * for 1h
allow net.connect c.example:443 until 2020-01-01T00:00:00Z
`
	give := func(rule consent.Rule) {
		if _, err := w.engine.Allow(ctx, rule); err != nil {
			t.Fatal(err)
		}
	}
	give(consent.Rule{App: "sha256:aa", AppName: "tool", Kind: consent.NetConnect, Target: "tcp/a.example:443", Verdict: consent.Allow})
	give(consent.Rule{App: "sha256:aa", AppName: "tool", Kind: consent.NetConnect, Target: "tcp/b.example:443", Verdict: consent.Allow})
	before := w.rules()

	plan, err := w.client.ImportGrants(ctx, api.ImportRequest{Text: text})
	if err != nil || plan.Applied || does(plan) != "same tcp/a.example:443, replace tcp/b.example:443, add *, over tcp/c.example:443" {
		t.Fatalf("%+v, %v", plan, err)
	}
	if w.rules() != before {
		t.Fatal("to look changed something")
	}
	for name, req := range map[string]api.ImportRequest{
		"a plan that never was":    {Text: text, Apply: strings.Repeat("0", 64)},
		"another text":             {Text: strings.Replace(text, "b.example", "evil.example", 1), Apply: plan.Plan},
		"a bad line":               {Text: text + "allow net.connect *\n", Apply: plan.Plan},
		"neither text nor preset":  {Apply: plan.Plan},
		"both":                     {Text: text, Preset: "offline", App: "tool"},
		"for another app":          {Text: text, App: "sha256:bb"},
		"for no app":               {Text: "allow notify *\n"},
		"a preset that is nowhere": {Preset: "none", App: "tool"},
	} {
		if got, err := w.client.ImportGrants(ctx, req); err == nil {
			t.Errorf("%s: %+v", name, got)
		}
		if w.rules() != before {
			t.Fatalf("%s changed something: %s", name, w.rules())
		}
	}
	done, err := w.client.ImportGrants(ctx, api.ImportRequest{Text: text, Apply: plan.Plan})
	if err != nil || !done.Applied || w.rules() != "allow *, allow tcp/a.example:443, deny tcp/b.example:443" {
		t.Fatalf("%+v, %v: %s", done, err, w.rules())
	}
	var fault *api.Error
	if _, err := w.client.ImportGrants(ctx, api.ImportRequest{Text: text, Apply: plan.Plan}); !errors.As(err, &fault) || fault.Code != "stale" {
		t.Errorf("the same plan again: %v", err)
	}
}

func TestExportAndImportAgain(t *testing.T) {
	w := newTestAgent(t)
	ctx := t.Context()
	for _, id := range []app.ID{"sha256:bb", "pub:registry.example/a#registry.example/a"} {
		for _, target := range []string{"docs/my letters", `docs/"x"`, "docs/#"} {
			if _, err := w.engine.Allow(ctx, consent.Rule{App: id, AppName: "my tool", Kind: consent.FileRead, Target: target}); err != nil {
				t.Fatal(err)
			}
		}
	}
	before := w.rules()
	text, err := w.client.ExportGrants(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	if one, err := w.client.ExportGrants(ctx, "sha256:bb"); err != nil || strings.Count(one, "app ") != 1 || !strings.Contains(text, one) {
		t.Errorf("of one app: %q, %v", one, err)
	}
	if _, err := w.client.Revoke(ctx, "all"); err != nil || w.rules() != "" {
		t.Fatal(err)
	}
	plan, err := w.client.ImportGrants(ctx, api.ImportRequest{Text: text})
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if _, err := w.client.ImportGrants(ctx, api.ImportRequest{Text: text, Apply: plan.Plan}); err != nil || w.rules() != before {
		t.Errorf("%v\n%s\n%s", err, w.rules(), before)
	}
}

func TestPresetsForARunAndForAnApp(t *testing.T) {
	w := newTestAgent(t)
	ctx := t.Context()
	if err := os.Mkdir(w.cfg.Presets, 0o700); err != nil {
		t.Fatal(err)
	}
	mine := []byte("# Mine.\nallow net.connect a.example:443\ndeny notify *\n")
	if err := os.WriteFile(filepath.Join(w.cfg.Presets, "mine.rules"), mine, 0o600); err != nil {
		t.Fatal(err)
	}
	module := w.module("tool.wasm", "1")
	var during []consent.Rule
	w.host.run = func(sandbox.Spec, sandbox.Broker) int { during = w.engine.Rules(""); return 0 }
	w.runs(w.run(api.RunRequest{Source: module, Presets: []string{"mine"}}))
	if len(during) != 2 || during[0].Run == "" || during[0].By != "preset mine" || w.rules() != "" {
		t.Errorf("during the run %+v, after it %q", during, w.rules())
	}
	s := w.run(api.RunRequest{Source: module, Presets: []string{"none"}})
	if kind, payload := s.next(api.FrameStarted, api.FrameError); kind != api.FrameError || !strings.Contains(payload, "no such preset") {
		t.Errorf("%q %s", kind, payload)
	}
	plan, err := w.client.ImportGrants(ctx, api.ImportRequest{Preset: "mine", App: module})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.ImportGrants(ctx, api.ImportRequest{Preset: "mine", App: module, Apply: plan.Plan}); err != nil {
		t.Fatal(err)
	}
	why, err := w.client.Why(ctx, module, "a.example:443")
	if err != nil || why.Verdict != "allow" || why.Rule == nil || why.Rule.By != "preset mine" {
		t.Errorf("%+v, %v", why, err)
	}
	presets, err := w.client.Presets(ctx)
	if err != nil || len(presets) != 5 || presets[0].Name != "mine" || !presets[0].Own || presets[0].About != "Mine." {
		t.Errorf("%+v, %v", presets, err)
	}
}

func TestOverview(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1", connect("a.example", "news"))
	w.host.run = func(_ sandbox.Spec, b sandbox.Broker) int {
		for range 2 {
			if _, err := b.Dial(t.Context(), sandbox.Flow{Network: "tcp", Host: "evil.example", Port: 443}); err == nil {
				return 1
			}
		}
		return 0
	}
	s := w.run(api.RunRequest{Source: module, Hold: 1})
	w.answer(w.review(s), api.ReviewAnswer{Verdict: "allow"})
	w.runs(s)
	o, err := w.client.Overview(t.Context(), "tool.wasm")
	if err != nil || len(o.Grants) != 1 || o.Lines != 1 || o.Reviewed.IsZero() || o.Muted || len(o.Waiting) != 1 {
		t.Fatalf("%+v, %v", o, err)
	}
	if len(o.Refused) != 1 || o.Refused[0].Target != "tcp/evil.example:443" || o.Refused[0].Count != 2 {
		t.Errorf("refused: %+v", o.Refused)
	}
}

func TestMutedAppsAreNotAskedAbout(t *testing.T) {
	w := newTestAgent(t)
	module := w.module("tool.wasm", "1")
	var got error
	w.host.run = func(_ sandbox.Spec, b sandbox.Broker) int {
		_, got = b.Dial(t.Context(), sandbox.Flow{Network: "tcp", Host: "a.example", Port: 443})
		return 0
	}
	if _, err := w.client.Mute(t.Context(), api.MuteRequest{App: module, By: "test"}); err != nil {
		t.Fatal(err)
	}
	w.runs(w.run(api.RunRequest{Source: module, Hold: time.Minute}))
	if !errors.Is(got, sandbox.ErrDenied) || len(w.engine.Pending()) != 0 {
		t.Errorf("%v, %d wait", got, len(w.engine.Pending()))
	}
	o, err := w.client.Overview(t.Context(), module)
	if err != nil || !o.Muted {
		t.Errorf("%+v, %v", o, err)
	}
	if gone, err := w.client.Mute(t.Context(), api.MuteRequest{App: module, Undo: true}); err != nil || len(gone) != 1 || w.rules() != "" {
		t.Errorf("%+v, %v, %s", gone, err, w.rules())
	}
	w.runs(w.run(api.RunRequest{Source: module, Hold: time.Millisecond}))
	if !errors.Is(got, sandbox.ErrHeld) {
		t.Errorf("after unmute: %v", got)
	}
}
