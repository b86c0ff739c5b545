package agent

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

func TestPartsOfAFolder(t *testing.T) {
	me := app.App{Name: "a", Digest: "sha256:1", Format: app.Image}
	yes, no := consent.Allow, consent.Deny
	type said struct {
		kind    consent.Kind
		target  string
		verdict consent.Verdict
	}
	open := func(path string, write bool) sandbox.Part { return sandbox.Part{Path: path, Read: true, Write: write} }
	for name, c := range map[string]struct {
		write bool // it was granted to be changed
		rules []said
		want  []sandbox.Part
	}{
		"nothing said":           {rules: []said{{consent.FileRead, "docs", yes}}},
		"the same said":          {rules: []said{{consent.FileRead, "docs/a", yes}}},
		"of another folder":      {rules: []said{{consent.FileRead, "docs2/a", no}, {consent.FileRead, "other", no}}},
		"closed":                 {rules: []said{{consent.FileRead, "docs/a", no}}, want: []sandbox.Part{{Path: "a"}}},
		"closed, open below":     {rules: []said{{consent.FileRead, "docs/a", no}, {consent.FileRead, "docs/a/b", yes}}, want: []sandbox.Part{{Path: "a"}, open("a/b", false)}},
		"may be changed":         {rules: []said{{consent.FileWrite, "docs/a/b", yes}}, want: []sandbox.Part{open("a/b", true)}},
		"may not be changed":     {write: true, rules: []said{{consent.FileWrite, "docs/a", no}}, want: []sandbox.Part{open("a", false)}},
		"not even read":          {write: true, rules: []said{{consent.FileRead, "docs/a", no}}, want: []sandbox.Part{{Path: "a"}}},
		"a no to reading counts": {write: true, rules: []said{{consent.FileRead, "docs/a", no}, {consent.FileWrite, "docs/a", yes}}, want: []sandbox.Part{{Path: "a"}}},
	} {
		var rules []consent.Rule
		for i, s := range c.rules {
			rules = append(rules, consent.Rule{ID: string(rune('a' + i)), App: me.ID(), Kind: s.kind, Target: s.target, Verdict: s.verdict, Lifetime: consent.Always})
		}
		grants, err := consent.NewGrants(rules)
		if err != nil {
			t.Fatal(err)
		}
		look := func(kind consent.Kind, target string) (consent.Verdict, bool) {
			d, found := grants.Lookup(consent.Request{App: me, Kind: kind, Target: target}, time.Now())
			return d.Verdict, found
		}
		got := partsOf(placeSpec{Name: "docs", Write: true}, c.write, rules, look)
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestPlaces(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	docs := filepath.Join(home, "Documents")
	for _, dir := range []string{"letters/old", "notes"} {
		if err := os.MkdirAll(filepath.Join(docs, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc", filepath.Join(docs, "etc")); err != nil {
		t.Fatal(err)
	}
	right := func(kind consent.Kind, target string) app.Right {
		return app.Right{Kind: string(kind), Target: target, Reason: "r"}
	}
	for name, c := range map[string]struct {
		shares []api.Share
		rights []app.Right
		want   string
	}{
		"nothing":                  {},
		"offered":                  {shares: []api.Share{{Source: docs, Ask: true}}, want: "Documents:/share/Documents:r"},
		"offered for changes":      {shares: []api.Share{{Source: docs, Ask: true, Write: true, Target: "/d"}}, want: "d:/d:w"},
		"given":                    {shares: []api.Share{{Source: docs}}},
		"in the manifest":          {rights: []app.Right{right(consent.FileRead, "documents")}, want: "documents:/share/documents:r"},
		"parts":                    {rights: []app.Right{right(consent.FileRead, "documents/notes"), right(consent.FileWrite, "documents/letters")}, want: "documents/letters:/share/documents/letters:w documents/notes:/share/documents/notes:r"},
		"a part within another":    {rights: []app.Right{right(consent.FileRead, "documents/letters"), right(consent.FileRead, "documents/letters/old")}, want: "documents/letters:/share/documents/letters:r"},
		"a part that is not":       {rights: []app.Right{right(consent.FileRead, "documents/missing"), right(consent.FileRead, "pictures")}},
		"a part that leads out":    {rights: []app.Right{right(consent.FileRead, "documents/etc")}},
		"not a folder's name":      {rights: []app.Right{right(consent.FileRead, "etc"), right(consent.FileRead, "..")}},
		"offered and narrowed":     {shares: []api.Share{{Source: docs, Ask: true, Target: "/share/docs"}}, rights: []app.Right{right(consent.FileWrite, "docs/letters")}, want: "docs/letters:/share/docs/letters:r"},
		"given, and in the wishes": {shares: []api.Share{{Source: docs, Target: "/share/documents"}}, rights: []app.Right{right(consent.FileRead, "documents")}},
	} {
		a := &Agent{cfg: Config{Data: filepath.Join(home, ".data"), Image: askingHost{}}}
		rec := &record{Request: api.RunRequest{Shares: c.shares}, Spec: sandbox.Spec{Image: &sandbox.Image{}}}
		rec.App.Manifest = &app.Manifest{Rights: c.rights}
		places, err := a.places(rec)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []string
		for _, p := range places {
			mode := map[bool]string{true: "w", false: "r"}[p.Write]
			got = append(got, p.Name+":"+p.Target+":"+mode)
			if !strings.HasPrefix(p.Source, docs) {
				t.Errorf("%s: source %s", name, p.Source)
			}
		}
		if text := strings.Join(got, " "); text != c.want {
			t.Errorf("%s: got %q, want %q", name, text, c.want)
		}
	}
}

type askingHost struct{ sandbox.Host }

func (askingHost) CanAsk() error { return nil }
