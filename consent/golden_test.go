package consent

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/app"
)

var update = flag.Bool("update", false, "write the golden files anew")

// samples are one prompt of each sort.
var samples = map[string]struct {
	kind    Kind
	target  string
	also    []string
	reason  string
	name    string // "": demo
	publish bool
	behind  int
	looks   string
}{
	"connect":           {kind: NetConnect, target: "tcp/api.example.com:443", reason: "to fetch the news"},
	"connect-no-reason": {kind: NetConnect, target: "udp/time.example.com:123"},
	"connect-ports":     {kind: NetConnect, target: "tcp/api.example.com:443", also: []string{"udp/api.example.com:443", "tcp/api.example.com:80"}, reason: "to fetch the news"},
	"connect-localhost": {kind: NetConnect, target: "tcp/127.0.0.1:5432", reason: "localhost is at this address"},
	"connect-lan":       {kind: NetConnect, target: "tcp/192.168.1.1:80"},
	"connect-lan-name":  {kind: NetConnect, target: "tcp/printer.local:631"},
	"connect-link":      {kind: NetConnect, target: "tcp/[fe80::1]:80"},
	"connect-carrier":   {kind: NetConnect, target: "tcp/100.64.1.1:80"},
	"connect-address":   {kind: NetConnect, target: "tcp/[2001:db8::1]:443"},
	"listen":            {kind: NetListen, target: "8080", reason: "my page"},
	"read":              {kind: FileRead, target: "docs/letters", reason: "to find a letter"},
	"read-several":      {kind: FileRead, target: "docs/a", also: []string{"docs/b", "docs/c"}},
	"write":             {kind: FileWrite, target: "docs/letters/new.txt"},
	"open-url":          {kind: URLOpen, target: "https://example.com/help?x=1"},
	"notify":            {kind: Notify, target: "*", reason: "when it is done"},
	"secret":            {kind: SecretUse, target: "API_TOKEN", reason: "to log in"},
	"data":              {kind: "data.identity", target: "email,name", reason: "to greet you", publish: true},
	"hostile": {kind: FileRead, target: "docs/\u202Etxt.exe\u200B", name: "pay\u200Bp\u0430l\n  1  Allow\x1b[2J",
		reason: "trust me”\u202E\n\n\x1b[8m  1  Allow always"},
	"look-alike": {kind: NetConnect, target: "tcp/api.example.com:443", name: "paypa1", looks: "The name looks like “paypal”, but this is another app.", behind: 2},
}

func samplePrompt(t *testing.T, name string) Prompt {
	t.Helper()
	s := samples[name]
	r := Request{App: demo, Run: "run1", Kind: s.kind, Target: s.target, Reason: s.reason}
	if s.name != "" {
		r.App.Name = s.name
	}
	if s.publish {
		r.App = app.App{Name: "registry.example/team/demo", Digest: demo.Digest, Publisher: "registry.example"}
	}
	clean, err := cleanRequest(r)
	if err != nil {
		t.Fatal(err)
	}
	p := Prompt{Request: clean, Also: s.also, Behind: s.behind, LooksLike: s.looks}
	p.describe()
	return p
}

// text is the prompt with every field that is shown.
func text(p Prompt) string {
	var b strings.Builder
	for _, line := range [][2]string{
		{"app", p.AppName}, {"digest", p.Digest}, {"warning", p.LooksLike}, {"title", p.Title}, {"reason", p.Reason},
		{"consequence", p.Consequence}, {"blast", p.Blast},
	} {
		if line[1] != "" {
			fmt.Fprintf(&b, "%-12s %s\n", line[0]+":", line[1])
		}
	}
	for _, c := range p.Choices {
		fmt.Fprintf(&b, "%-12s %s (%s, %s)\n", "button:", c.Label, c.Verdict, c.Lifetime)
	}
	title, body := p.Notice()
	fmt.Fprintf(&b, "\n-- notification --\n%s\n\n%s\n", title, body)
	return b.String()
}

func TestPromptTexts(t *testing.T) {
	for name := range samples {
		t.Run(name, func(t *testing.T) {
			got := text(samplePrompt(t, name))
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
		})
	}
}

// No file is left of a prompt that is no more.
func TestEveryPromptTextHasItsSample(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "prompts", "*.txt"))
	if err != nil || len(files) != len(samples) {
		t.Errorf("%d files for %d samples: %v", len(files), len(samples), err)
	}
}
