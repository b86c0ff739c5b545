package rulefile

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/consent"
)

const sample = `# a comment
allow net.connect API.example.com:443   # and another
app "pub:docker.io/a b" "my app"
deny	data.identity name,email for 1h
allow file.read "docs/my letters" until 2026-12-24T18:00:00Z

app sha256:aa
allow notify *
`

func TestParse(t *testing.T) {
	got, err := Parse([]byte(strings.ReplaceAll(sample, "\n", "\r\n")))
	want := []Entry{
		{Line: 2, Verdict: consent.Allow, Kind: consent.NetConnect, Target: "tcp/api.example.com:443"},
		{Line: 4, App: "pub:docker.io/a b", AppName: "my app", Kind: "data.identity", Target: "email,name", For: time.Hour},
		{Line: 5, App: "pub:docker.io/a b", AppName: "my app", Verdict: consent.Allow, Kind: consent.FileRead, Target: "docs/my letters", Until: time.Date(2026, 12, 24, 18, 0, 0, 0, time.UTC)},
		{Line: 8, App: "sha256:aa", AppName: "sha256:aa", Verdict: consent.Allow, Kind: consent.Notify, Target: "*"},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v\n%+v\n%+v", err, got, want)
	}
}

func TestOneBadLineRefusesTheFile(t *testing.T) {
	for line, wrong := range map[string]string{
		"permit net.connect a.b:443":                   "is not allow, deny or app",
		"ALLOW net.connect a.b:443":                    "is not allow, deny or app",
		"allow net.connect":                            "want: allow|deny KIND TARGET",
		"allow net.connect a.b:443 for":                "want: allow|deny KIND TARGET",
		"allow net.connect a.b:443 for 1h 2h":          "want: allow|deny KIND TARGET",
		"allow net.connect a.b:443 for -1h":            "more than nothing",
		"allow net.connect a.b:443 for ever":           `"ever" after "for"`,
		"allow net.connect a.b:443 until tomorrow":     `"tomorrow" after "until"`,
		"allow net.connect a.b:443 since 1h":           "for or until",
		"allow net.connect a.b":                        "has no port",
		"allow net.* a.b:443":                          "not one that can be granted",
		"allow wall.waive ebpf-lsm":                    "not by a file",
		`allow file.read "docs`:                        "no partner",
		`allow file.read "docs"x`:                      "no space",
		`allow file.read docs/../x`:                    "not clean",
		"app":                                          "want: app ID NAME",
		"app a b c":                                    "want: app ID NAME",
		`app "a\u202eb"`:                               "cannot be seen",
		"deny net.connect tcp/x.example:443":           "stands in line 1 already",
		"allow net.connect tcp/169.254.169.254:0":      "port",
		"allow net.connect a.b:443 for 1h # allow\x00": "",
	} {
		got, err := Parse([]byte("allow net.connect x.example:443\n" + line + "\nallow notify *\n"))
		if wrong == "" {
			if err != nil || len(got) != 3 {
				t.Errorf("%s: %v", line, err)
			}
			continue
		}
		if err == nil || got != nil || !strings.Contains(err.Error(), "line 2: ") || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s: %v, %v", line, got, err)
		}
	}
	if _, err := Parse([]byte(strings.Repeat("x\n", 100))); strings.Count(err.Error(), "line ") != maxErrors {
		t.Error(err)
	}
	for name, text := range map[string]string{"too long": strings.Repeat("#", MaxFile+1), "not UTF-8": "\xff"} {
		if _, err := Parse([]byte(text)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestOurPresets(t *testing.T) {
	names, err := Presets{}.Names()
	if err != nil || strings.Join(names, " ") != "offline package-registries trusted-dev web-read-only" {
		t.Fatal(names, err)
	}
	for _, name := range names {
		p, err := Presets{}.Find(name)
		if err != nil || len(p.Entries) == 0 || p.About == "" || p.Own {
			t.Errorf("%s: %+v, %v", name, p, err)
		}
	}
	if p, err := (Presets{}).Find("Web read-only"); err != nil || p.Name != "web-read-only" {
		t.Errorf("%+v, %v", p, err)
	}
}

func TestPresetsOfTheUser(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("offline.rules", "# Mine.\ndeny net.connect tcp/a.b:443\n")
	write("mine.rules", "allow notify *\n")
	write("bad.rules", "app x\nallow notify *\n")
	write("NOT.rules", "")
	write("secret.txt", "")
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out.rules")); err != nil {
		t.Fatal(err)
	}
	p := Presets{Dir: dir}
	if names, err := p.Names(); err != nil || strings.Join(names, " ") != "bad mine offline out package-registries trusted-dev web-read-only" {
		t.Error(names, err)
	}
	if got, err := p.Find("offline"); err != nil || !got.Own || got.About != "Mine." || len(got.Entries) != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := p.Find("bad"); err == nil || !strings.Contains(err.Error(), "names none") {
		t.Error(err)
	}
	if _, err := p.Find("out"); err == nil || strings.Contains(err.Error(), "line") {
		t.Errorf("a link out of the folder: %v", err)
	}
	for _, name := range []string{"", "none", "../offline", "a/b", "offline.rules"} {
		if _, err := p.Find(name); !errors.Is(err, ErrNoPreset) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzParse wants what was taken to come back the same after Write.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	for _, name := range []string{"offline", "web-read-only"} {
		p, err := Presets{}.Find(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add([]byte(p.Text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, err := Parse(text)
		if err != nil {
			if entries != nil {
				t.Fatal("entries beside an error")
			}
			return
		}
		written := Write(entries)
		if len(written) > MaxFile { // quotation marks make it longer
			return
		}
		again, err := Parse([]byte(written))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("%q became %q: %v", text, written, err)
		}
		for i := range again {
			again[i].Line = entries[i].Line
			if again[i] != entries[i] {
				t.Fatalf("%+v became %+v", entries[i], again[i])
			}
		}
	})
}
