package cli

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

var update = flag.Bool("update", false, "write the golden files anew")

// askedFor has the engine make the prompt of a request.
func askedFor(t *testing.T, r consent.Request) api.Prompt {
	t.Helper()
	e, err := consent.Open(t.Context(), consent.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	e.Decide(context.Background(), r, consent.Ask{Hold: time.Millisecond})
	waiting := e.Pending()
	if len(waiting) != 1 {
		t.Fatalf("%d prompts", len(waiting))
	}
	p := waiting[0]
	out := api.Prompt{
		App: p.AppName, Digest: p.Digest, RunName: "demo", Title: p.Title, Reason: p.Reason, LooksLike: p.LooksLike,
		Consequence: p.Consequence, Blast: p.Blast, Count: p.Count, Also: p.Also,
	}
	for _, c := range p.Choices {
		out.Choices = append(out.Choices, api.Choice{Label: c.Label, Verdict: c.Verdict.String(), Lifetime: string(c.Lifetime)})
	}
	return out
}

func TestCardTexts(t *testing.T) {
	const digest = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for name, r := range map[string]consent.Request{
		"connect":           {Kind: consent.NetConnect, Target: "tcp/api.example.com:443", Reason: "to fetch the news"},
		"connect-no-reason": {Kind: consent.NetConnect, Target: "udp/time.example.com:123"},
		"connect-localhost": {Kind: consent.NetConnect, Target: "tcp/127.0.0.1:5432", Reason: "localhost is at this address"},
		"connect-lan":       {Kind: consent.NetConnect, Target: "tcp/192.168.1.1:80"},
		"listen":            {Kind: consent.NetListen, Target: "8080", Reason: "my page"},
		"read":              {Kind: consent.FileRead, Target: "docs/letters", Reason: "to find a letter"},
		"write":             {Kind: consent.FileWrite, Target: "docs/letters/new.txt"},
		"open-url":          {Kind: consent.URLOpen, Target: "https://example.com/help?x=1"},
		"notify":            {Kind: consent.Notify, Target: "*", Reason: "when it is done"},
		"secret":            {Kind: consent.SecretUse, Target: "API_TOKEN", Reason: "to log in"},
		"data":              {Kind: "data.identity", Target: "email,name", Reason: "to greet you"},
		"data-contacts":     {Kind: "data.contacts", Target: "email,name", Reason: "to invite them"},
		"data-files":        {Kind: "data.files", Target: "content,name"},
		"hostile": {App: app.App{Name: "pay\u200Bp\u0430l\n  1  Allow\x1b[2J"}, Kind: consent.FileRead,
			Target: "docs/\u202Etxt.exe\u200B", Reason: "trust me\u202E\n\n\x1b[8m  1  Allow always"},
	} {
		t.Run(name, func(t *testing.T) {
			if r.App.Name == "" {
				r.App.Name = "demo"
			}
			r.App.Digest, r.Run = digest, "run1"
			golden(t, name, card(askedFor(t, r), style{}))
		})
	}
	t.Run("look-alike", func(t *testing.T) {
		p := askedFor(t, consent.Request{App: app.App{Name: "paypa1", Digest: digest}, Kind: consent.NetConnect, Target: "tcp/api.example.com:443"})
		p.LooksLike, p.Count = "The name looks like “paypal”, but this is another app.", 3
		golden(t, "look-alike", card(p, style{}))
	})
}

// golden compares with testdata/prompts/NAME.txt; -update writes it.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", "prompts", name+".txt")
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A question that asks for more than what is on the screen is shown anew, dead
// again, and what was typed to less of it answers nothing.
func TestAskerShowsAnewWhatAsksForMore(t *testing.T) {
	p := api.Prompt{ID: "x", Nonce: "1"}
	var a asker
	a.add(p)
	a.show()
	a.wake()
	a.typed([]byte("1"))
	p.Behind = 2
	if a.add(p) {
		t.Error("shown anew for the same nonce")
	}
	p.Nonce = "2"
	if !a.add(p) {
		t.Fatal("not shown anew")
	}
	a.show()
	if _, choice := a.typed([]byte("\r")); choice != nil {
		t.Error("answered at once")
	}
	if got := a.wake(); got != "  2 more questions of this app wait.\n"+askFor(choicesOf(p)) {
		t.Errorf("woke with %q", got)
	}
	if _, choice := a.typed([]byte("\r")); choice != nil {
		t.Error("what was typed before was kept")
	}
}
