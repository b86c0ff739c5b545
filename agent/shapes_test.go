package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/userdata"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/data"
)

func TestWhatAPromptOffers(t *testing.T) {
	h := newHouse(t)
	a := &Agent{data: h.data}
	if err := h.data.Profile.Set(map[string]string{"email": "ada@example.org, ada@work.example"}); err != nil {
		t.Fatal(err)
	}
	offered := func(kind, target string) string {
		p := api.Prompt{Kind: kind, Target: target, Choices: []api.Choice{{Label: "yes", Verdict: "allow"}, {Label: "no", Verdict: "deny"}}}
		a.offer(&p)
		var labels []string
		for _, c := range p.Choices {
			labels = append(labels, c.Label)
			if _, err := shapeOf(consent.Kind(kind), consent.Allow, c.Shape); err != nil && c.Verdict == "allow" {
				t.Errorf("%s %s offers what is refused: %s", kind, target, c.Shape)
			}
		}
		return strings.Join(labels, "|")
	}
	for _, c := range [][3]string{
		{"net.connect", "tcp/a.b:443", "yes|no"},
		{"data.identity", "name", "yes|no|Allow always, with made-up values"},
		{"data.identity", "email,name", "yes|no|Allow always, with ada@work.example|Allow always, with made-up values"},
		{"data.contacts", "name", "yes|no|Allow always, with made-up values"},
		{"data.files", "content", "no"},
	} {
		if got := offered(c[0], c[1]); got != c[2] {
			t.Errorf("%s %s: %s, want %s", c[0], c[1], got, c[2])
		}
	}
}

// Before the yes the user reads whether the app will have the secret.
func TestWhatAPromptSaysOfASecret(t *testing.T) {
	h := newHouse(t)
	a := &Agent{data: h.data}
	for _, s := range []userdata.Secret{{Name: "bound", Origins: []string{"https://api.example.com"}}, {Name: "loose"}} {
		if err := h.data.Secrets.Set(s, "v"); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{
		"bound": "to https://api.example.com. The app never has it.", "loose": "The app will have the secret itself", "none": "as before",
	} {
		p := api.Prompt{Kind: "secret.use", Target: name, Consequence: "as before"}
		if a.offer(&p); !strings.Contains(p.Consequence, want) {
			t.Errorf("%s: %q", name, p.Consequence)
		}
	}
}

func TestAYesToNoFileIsAskedAgain(t *testing.T) {
	rules := withoutPicks([]consent.Rule{
		{Kind: "data.files", Target: "content", Verdict: consent.Allow}, {Kind: "data.files", Target: "name", Verdict: consent.Deny},
		{Kind: "data.identity", Target: "email", Verdict: consent.Allow}, {Kind: "data.files", Target: "size", Verdict: consent.Allow, Shape: "x"},
	})
	if len(rules) != 3 || rules[0].Verdict != consent.Deny {
		t.Errorf("%+v", rules)
	}
}

func TestShapesOfAnswers(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file, link := filepath.Join(dir, "a.txt"), filepath.Join(dir, "link")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	files := func(paths ...string) string { return data.Shape{Only: paths}.Text() }
	for _, c := range []struct {
		kind    consent.Kind
		verdict consent.Verdict
		text    string
		want    string // "!" is a refusal
	}{
		{consent.NetConnect, consent.Allow, "", ""},
		{consent.NetConnect, consent.Allow, `{"redact":["email"]}`, "!"},
		{"data.identity", consent.Deny, `{"redact":["email"]}`, "!"},
		{"data.identity", consent.Allow, ` {"redact":["name","email"]} `, `{"redact":["email","name"]}`},
		{"data.identity", consent.Allow, `{"redact":["shoe"]}`, "!"},
		{"data.files", consent.Deny, "", ""},
		{"data.files", consent.Allow, "", "!"},
		{"data.files", consent.Allow, files(file), files(file)},
		{"data.files", consent.Allow, files(link), files(file)},
		{"data.files", consent.Allow, files(dir), "!"},
		{"data.files", consent.Allow, files(filepath.Join(dir, "gone")), "!"},
	} {
		got, err := shapeOf(c.kind, c.verdict, c.text)
		if err != nil {
			got = "!"
		}
		if got != c.want {
			t.Errorf("%s %s %s: %s, %v; want %s", c.kind, c.verdict, c.text, got, err, c.want)
		}
	}
}
