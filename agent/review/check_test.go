package review

import (
	"slices"
	"strings"
	"testing"

	"github.com/consentry/consentry/app"
)

const goodRight = `{"kind":"net.connect","target":"tcp/api.example.com:443","reason":"to fetch the weather where you are","without":"no forecast"}`

func TestCheck(t *testing.T) {
	of := func(kind, target, reason string) string {
		return `{"version":1,"rights":[{"kind":"` + kind + `","target":"` + target + `","reason":"` + reason + `","without":"w"}]}`
	}
	const why = "to greet you by your name"
	for name, c := range map[string]struct {
		raw   string
		codes string // in their order
	}{
		"good":              {`{"version":1,"rights":[` + goodRight + `]}`, ""},
		"no JSON":           {`version: 1`, "!refused"},
		"unknown member":    {`{"version":1,"rights":[],"right":[]}`, "!refused"},
		"unknown right":     {of("device.camera", "*", why), "!refused"},
		"no reason":         {of("notify", "*", ""), "!refused"},
		"reason of spaces":  {of("notify", "*", "  "), "!bad-target"},
		"target":            {of("net.connect", "api.example.com:http", why), "!bad-target"},
		"data":              {of("data.identity", "email,name?", why), ""},
		"unknown data":      {of("data.dna", "all", why), "unknown-data"},
		"an action as data": {of("data.notify", "all", why), "unknown-data"},
		"unknown field":     {of("data.identity", "email, shoe?", why), "unknown-field"},
		"every field":       {of("data.identity", "*", why), "wildcard"},
		"all needed":        {of("data.contacts", "name,email,phone,address", why), "all-needed"},
		"some needed":       {of("data.contacts", "name,email?,phone?,address?", why), ""},
		"every host":        {of("net.connect", "tcp/*:443", why), "wildcard"},
		"below a name":      {of("net.connect", "tcp/*.example.com:443", why), "wildcard"},
		"every port":        {of("net.connect", "tcp/a.example:*", why), "wildcard"},
		"ports":             {of("net.connect", "tcp/a.example:1-1024", why), "wildcard"},
		"address of IPv6":   {of("net.connect", "tcp/[2001:db8::1]:443", why), ""},
		"vague":             {of("notify", "*", "Required."), "vague-reason"},
		"short":             {of("notify", "*", "for you"), "vague-reason"},
		"long":              {of("notify", "*", strings.Repeat("to show you ", 15)), "long-reason"},
		"no without":        {`{"version":1,"rights":[{"kind":"notify","target":"*","reason":"to tell you when it is done"}]}`, "no-without"},
		"twice":             {`{"version":1,"rights":[` + goodRight + "," + goodRight + `]}`, "twice"},
	} {
		var codes []string
		refused := false
		for _, f := range Check([]byte(c.raw)) {
			code := f.Code
			if f.Refused {
				refused, code = true, "!"+code
			}
			codes = append(codes, code)
			if f.Message == "" || f.Hint == "" {
				t.Errorf("%s: %+v", name, f)
			}
		}
		if got := strings.Join(codes, " "); got != c.codes {
			t.Errorf("%s: %s, want %s", name, got, c.codes)
		}
		if taken(c.raw) == refused {
			t.Errorf("%s: refused here: %v, and at a start: %v", name, refused, !taken(c.raw))
		}
	}
}

// taken is how a start judges a manifest.
func taken(raw string) bool {
	m, err := app.ParseManifest([]byte(raw))
	if err == nil {
		_, err = Lines(m)
	}
	return err == nil
}

func TestWhereAFindingIs(t *testing.T) {
	for raw, want := range map[string][2]int{
		"{\n  \"version\": 1,\n  \"rights\": [\n    {\"kind\": \"notify\", \"target\": \"*\", \"reason\": \"é\", \"without\": \"w\"}\n  ]\n}": {4, 49},
		"{\n  \"version\": 2,\n  \"rights\": []\n}": {2, 14},
		"{\n  \"version\": 1,\n  \"rigths\": []\n}": {3, 11},
		"{\"version\": 1, \"rights\": [],\n}":       {2, 1},
		"{\"version\": \"x\", \"rights\": []}":      {1, 16},
	} {
		found := Check([]byte(raw))
		if len(found) != 1 || found[0].Line != want[0] || found[0].Column != want[1] {
			t.Errorf("%s: %+v, want %v", raw, found, want)
		}
	}
}

// FuzzCheck: no finding refuses what a start takes, and the other way round.
func FuzzCheck(f *testing.F) {
	f.Add(`{"version":1,"rights":[` + goodRight + `]}`)
	f.Add(`{"version":1,"rights":[{"kind":"data.identity","target":"email,name?","reason":"r"}],"ports":[{"port":80}]}`)
	f.Fuzz(func(t *testing.T, raw string) {
		refused := slices.ContainsFunc(Check([]byte(raw)), func(f Finding) bool { return f.Refused })
		if refused == taken(raw) {
			t.Errorf("%q: refused %v", raw, refused)
		}
	})
}
