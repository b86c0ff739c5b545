package consent

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/consentry/consentry/app"
)

func learn(t *testing.T, e *Engine, k Kind, target, reason string) Decision {
	t.Helper()
	return e.Decide(t.Context(), Request{App: demo, Run: "run1", Kind: k, Target: target, Reason: reason}, Ask{Learn: true})
}

func TestLearningDeniesAndMakesTheSmallestManifest(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: "tcp/*.granted.example:443", Verdict: Allow}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind           Kind
		target, reason string
		want           Verdict
	}{
		{NetConnect, "API.example.com.:443", "the news", Deny},
		{NetConnect, "tcp/api.example.com:443", "", Deny},
		{NetConnect, "udp/time.example.com:123", "", Deny},
		{NetConnect, "tcp/www.granted.example:443", "", Allow},
		{"data.identity", "name,email", "to greet you", Deny},
		{"data.identity", "locale,name", "", Deny},
		{FileRead, "docs/a/b", "", Deny},
		{FileRead, "docs", "", Deny},
		{FileRead, "docs2/x", "", Deny},
		{FileWrite, "docs/a", "", Deny},
		{"device.camera", "front", "", Deny}, // no right: refused, and no line of a manifest
	} {
		if d := learn(t, e, c.kind, c.target, c.reason); d.Verdict != c.want {
			t.Errorf("%s %s: %+v", c.kind, c.target, d)
		}
	}
	if waiting := e.Pending(); len(waiting) != 0 {
		t.Errorf("learning asked: %+v", waiting)
	}
	lesson, ok := e.Learned("run1")
	if !ok || lesson.Wishes[0].Count != 2 || lesson.Wishes[2].Verdict != Allow {
		t.Fatalf("lesson: %+v", lesson)
	}
	m, err := lesson.Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	want := []app.Right{
		{Kind: "data.identity", Target: "email,locale,name", Reason: "to greet you"},
		{Kind: "file.read", Target: "docs", Reason: sayWhy},
		{Kind: "file.read", Target: "docs2/x", Reason: sayWhy},
		{Kind: "file.write", Target: "docs/a", Reason: sayWhy},
		{Kind: "net.connect", Target: "tcp/api.example.com:443", Reason: "the news"},
		{Kind: "net.connect", Target: "tcp/www.granted.example:443", Reason: sayWhy},
		{Kind: "net.connect", Target: "udp/time.example.com:123", Reason: sayWhy},
	}
	if m.Name != "demo" || !slices.Equal(m.Rights, want) {
		t.Errorf("manifest: %+v", m)
	}
	raw, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.ParseManifest(raw); err != nil {
		t.Errorf("its own manifest is refused: %v", err)
	}
}

// What a learned manifest lists, granted as it stands, must be all that the
// same run needs.
func TestALearnedManifestIsEnough(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	asked := []Request{
		{App: demo, Run: "run1", Kind: NetConnect, Target: "tcp/api.example.com:443"},
		{App: demo, Run: "run1", Kind: "data.identity", Target: "email"},
		{App: demo, Run: "run1", Kind: "data.identity", Target: "name"},
		{App: demo, Run: "run1", Kind: FileRead, Target: "docs/x"},
		{App: demo, Run: "run1", Kind: FileRead, Target: "docs/x/y"},
		{App: demo, Run: "run1", Kind: URLOpen, Target: "https://example.com/a"},
		{App: demo, Run: "run1", Kind: Notify, Target: "*"},
		{App: demo, Run: "run1", Kind: SecretUse, Target: "TOKEN"},
		{App: demo, Run: "run1", Kind: NetListen, Target: "8080"},
	}
	for _, r := range asked {
		e.Decide(t.Context(), r, Ask{Learn: true})
	}
	lesson, _ := e.Learned("run1")
	m, err := lesson.Manifest("")
	if err != nil {
		t.Fatal(err)
	}
	for _, right := range m.Rights {
		rule := Rule{App: demo.ID(), Kind: Kind(right.Kind), Target: right.Target, Verdict: Allow}
		if _, err := e.Allow(t.Context(), rule); err != nil {
			t.Fatalf("%+v: %v", right, err)
		}
	}
	for _, r := range asked {
		if d := silent(e, r); d.Verdict != Allow {
			t.Errorf("%s %s: %+v", r.Kind, r.Target, d)
		}
	}
}

func TestLearningIsBounded(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	for i := range maxWishes + 7 {
		learn(t, e, NetConnect, fmt.Sprintf("tcp/h%d.example.com:443", i), "")
	}
	lesson, _ := e.Learned("run1")
	if len(lesson.Wishes) != maxWishes || lesson.Dropped != 7 {
		t.Errorf("%d wishes, %d dropped", len(lesson.Wishes), lesson.Dropped)
	}
	if _, err := lesson.Manifest(""); !errors.Is(err, errTooManyRights) {
		t.Errorf("a manifest that leaves things out: %v", err)
	}
	for i := range maxLessons {
		r := asking(target)
		r.Run = fmt.Sprintf("later%d", i)
		e.Decide(t.Context(), r, Ask{Learn: true})
	}
	if _, ok := e.Learned("run1"); ok {
		t.Error("the record of an old run is kept for ever")
	}
	if _, ok := e.Learned("later0"); !ok {
		t.Error("the record of a late run is gone")
	}
}

// A late one-time yes is for the next real try, not for a run that is learned from.
func TestLearningSpendsNothing(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	e.Decide(t.Context(), asking(target), Ask{Hold: time.Millisecond})
	p := pendingPrompt(t, e, target)
	if err := e.Answer(t.Context(), Answer{Request: p.ID, Nonce: p.Nonce, Verdict: Allow, Lifetime: Once, By: "cli"}); err != nil {
		t.Fatal(err)
	}
	if d := learn(t, e, NetConnect, target, ""); d.Verdict != Deny || d.Source != FromLearn {
		t.Errorf("while learning: %+v", d)
	}
	if d := silent(e, asking(target)); d.Verdict != Allow {
		t.Errorf("the late yes is gone: %+v", d)
	}
}
