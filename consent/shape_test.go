package consent

import (
	"errors"
	"testing"
	"time"
)

func shaped(target string, verdict Verdict, shape string) Rule {
	return Rule{App: demo.ID(), AppName: demo.Name, Kind: "data.identity", Target: target, Verdict: verdict, Lifetime: Always, Shape: shape}
}

func TestAShapeIsKeptAndSealed(t *testing.T) {
	ask := Request{App: demo, Kind: "data.identity", Target: "email"}
	for _, edit := range []string{"", `UPDATE rules SET shape = ''`, `UPDATE rules SET shape = 'other' WHERE shape <> ''`} {
		dir := t.TempDir()
		e := openIn(t, dir, time.Now)
		if _, err := e.Give(t.Context(), []Rule{shaped("email", Allow, "made up"), shaped("name", Allow, "")}); err != nil {
			t.Fatal(err)
		}
		if _, err := e.store.db.Exec(edit); err != nil {
			t.Fatal(err)
		}
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		e = openIn(t, dir, time.Now)
		d, found := e.Lookup(ask)
		if edit == "" && (!found || d.Verdict != Allow || d.Shape != "made up") {
			t.Errorf("kept: %+v, %v", d, found)
		}
		if edit != "" && (d.Verdict != Deny || !errors.Is(e.Health(), ErrDamaged)) {
			t.Errorf("after %s: %+v, %v", edit, d, e.Health())
		}
	}
}

// A store of the version before there were shapes is as good as it was.
func TestAStoreWithoutShapes(t *testing.T) {
	dir := t.TempDir()
	e := openIn(t, dir, time.Now)
	if _, err := e.Give(t.Context(), []Rule{shaped("name", Allow, "")}); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`ALTER TABLE rules DROP COLUMN shape`, `PRAGMA user_version=2`} {
		if _, err := e.store.db.Exec(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	e = openIn(t, dir, time.Now)
	if d, _ := e.Lookup(Request{App: demo, Kind: "data.identity", Target: "name"}); d.Verdict != Allow {
		t.Fatalf("%+v, %v", d, e.Health())
	}
	if _, err := e.Give(t.Context(), []Rule{shaped("email", Allow, "x")}); err != nil {
		t.Fatal(err)
	}
}

func TestShapesOfOtherRules(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	network := shaped("tcp/a.b:443", Allow, "x")
	network.Kind = NetConnect
	for _, r := range []Rule{shaped("email", Deny, "x"), network} {
		if _, err := e.Give(t.Context(), []Rule{r}); !errors.Is(err, ErrBadRule) {
			t.Errorf("%+v: %v", r, err)
		}
	}
}

// Of two rules that are equal but for it the shaped one decides, whichever is older.
func TestTheShapedYesComesFirst(t *testing.T) {
	for _, first := range []bool{true, false} {
		a, b := shaped("email", Allow, "x"), shaped("email", Allow, "")
		a.ID, b.ID = "a", "b"
		if first {
			a.ID, b.ID = "b", "a"
		}
		b.Lifetime, b.Run = Run, "run"
		g, err := NewGrants([]Rule{a, b})
		if err != nil {
			t.Fatal(err)
		}
		if d, _ := g.Lookup(Request{App: demo, Run: "run", Kind: "data.identity", Target: "email"}, time.Now()); d.Shape != "x" {
			t.Errorf("%+v", d)
		}
	}
}

func TestAnAnswerWithAShape(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	got := make(chan Decision, 1)
	go func() {
		got <- e.Decide(t.Context(), Request{App: demo, Run: "r", Kind: "data.identity", Target: "email,name"}, Ask{Hold: time.Minute})
	}()
	var p Prompt
	for len(e.Pending()) == 0 {
		time.Sleep(time.Millisecond)
	}
	p = e.Pending()[0]
	answer := Answer{Request: p.ID, Nonce: p.Nonce, Verdict: Allow, Lifetime: Always, Fields: []string{"email"}, Shape: "x", By: "cli"}
	wrong := answer
	wrong.Verdict = Deny
	if err := e.Answer(t.Context(), wrong); !errors.Is(err, ErrBadAnswer) {
		t.Errorf("a no with a shape: %v", err)
	}
	if err := e.Answer(t.Context(), answer); err != nil {
		t.Fatal(err)
	}
	if d := <-got; d.Given != "email" || d.Shape != "x" {
		t.Errorf("%+v", d)
	}
	for _, r := range e.Rules("") {
		if want := map[Verdict]string{Allow: "x", Deny: ""}[r.Verdict]; r.Shape != want || !r.Lapses.IsZero() {
			t.Errorf("%+v", r)
		}
	}
}

func TestGiveBack(t *testing.T) {
	e := openIn(t, t.TempDir(), time.Now)
	given, err := e.Give(t.Context(), []Rule{shaped("*", Allow, ""), shaped("email", Allow, "x"), shaped("name", Deny, "")})
	if err != nil {
		t.Fatal(err)
	}
	all, email, name := given[0].ID, given[1].ID, given[2].ID
	other := demo
	other.Digest = "sha256:other"
	if err := e.GiveBack(t.Context(), other, "", all); !errors.Is(err, ErrNoSuchRule) {
		t.Errorf("by another app: %v", err)
	}
	if err := e.GiveBack(t.Context(), demo, "", name); !errors.Is(err, ErrNoSuchRule) {
		t.Errorf("a no: %v", err)
	}
	if err := e.GiveBack(t.Context(), demo, "", email); !errors.Is(err, ErrWider) {
		t.Errorf("a wider yes below it: %v", err)
	}
	if err := e.GiveBack(t.Context(), demo, "", all); err != nil {
		t.Fatal(err)
	}
	if err := e.GiveBack(t.Context(), demo, "", email); err != nil {
		t.Fatal(err)
	}
	if left := e.Rules(""); len(left) != 1 || left[0].ID != name {
		t.Errorf("%+v", left)
	}
}
