package consent

import (
	"errors"
	"slices"
	"testing"
	"time"
)

func TestRulesThatMakeNoSense(t *testing.T) {
	good := Rule{ID: "a", App: demo.ID(), Kind: NetConnect, Target: target, Verdict: Allow, Lifetime: Always}
	if _, err := NewGrants([]Rule{good}); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*Rule){
		"another spelling":       func(r *Rule) { r.Target = "api.example.com:443" },
		"no target":              func(r *Rule) { r.Target = "" },
		"no app":                 func(r *Rule) { r.App = "" },
		"unknown kind":           func(r *Rule) { r.Kind = "device.camera" },
		"unknown verdict":        func(r *Rule) { r.Verdict = Allow + 1 },
		"a run that has no name": func(r *Rule) { r.Lifetime = Run },
		"a run, for ever":        func(r *Rule) { r.Run = "run1" },
		"a time without an end":  func(r *Rule) { r.Lifetime = Timed },
		"for ever with an end":   func(r *Rule) { r.Expires = begin },
		"once":                   func(r *Rule) { r.Lifetime = Once },
		"no lifetime":            func(r *Rule) { r.Lifetime = "" },
		"all there is":           func(r *Rule) { r.Kind, r.Target = AnyKind, "*" },
	} {
		bad := good
		spoil(&bad)
		if _, err := NewGrants([]Rule{bad}); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// Row 41: one thing has one spelling before the verdict, and what has none is
// refused.
func TestProbe41OneSpelling(t *testing.T) {
	for text, want := range map[string]string{
		"tcp/api.example.com:443":             "tcp/api.example.com:443",
		"API.Example.COM.:443":                "tcp/api.example.com:443",
		"udp/[FD00:0::1]:53":                  "udp/[fd00::1]:53",
		"tcp/[::ffff:10.0.0.1]:80":            "tcp/10.0.0.1:80",
		"tcp/[64:ff9b::0a00:0001]:80":         "tcp/10.0.0.1:80",
		"tcp/xn--bcher-kva.example:443":       "tcp/xn--bcher-kva.example:443",
		"tcp/_sip._tcp.example:5060":          "tcp/_sip._tcp.example:5060",
		"tcp/0x7f.1:80":                       "",
		"tcp/127.1:80":                        "",
		"tcp/2130706433:80":                   "",
		"tcp/0177.0.0.1:80":                   "",
		"tcp/1.2.3.4.5:80":                    "",
		"tcp/a\x00b.example:80":               "",
		"tcp/b\u00fccher.example:443":         "",
		"tcp/\u212A.example:443":              "",
		"tcp/a..example:443":                  "",
		"tcp/.example:443":                    "",
		"tcp/-a.example:443":                  "",
		"tcp/a-.example:443":                  "",
		"tcp/[fe80::1%eth0]:80":               "",
		"tcp/fd00::1:80":                      "",
		"tcp/[10.0.0.1]:80":                   "",
		"tcp/[fd00::1:80":                     "",
		"tcp/example.com":                     "",
		"tcp/example.com:0":                   "",
		"tcp/example.com:080":                 "",
		"tcp/example.com:65536":               "",
		"tcp/example.com:-1":                  "",
		"tcp/:80":                             "",
		"any/example.com:80":                  "",
		"sctp/example.com:80":                 "",
		"tcp/*.example.com:443":               "",
		"tcp/10.0.0.0/8:443":                  "",
		"tcp/" + longLabel(63) + ".example:1": "tcp/" + longLabel(63) + ".example:1",
		"tcp/" + longLabel(64) + ".example:1": "",
	} {
		got, err := Canonical(NetConnect, text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}

func longLabel(n int) string { return string(slices.Repeat([]byte("a"), n)) }

func TestSpellingsOfOtherKinds(t *testing.T) {
	for _, c := range []struct {
		kind       Kind
		text, want string
	}{
		{NetListen, "8080", "8080"}, {NetListen, "0", ""}, {NetListen, "80-81", ""},
		{FileRead, "docs/", "docs"}, {FileRead, "/docs", ""}, {FileRead, "docs/../x", ""}, {FileRead, "docs/./x", ""},
		{FileRead, "docs//x", ""}, {FileRead, `docs\x`, ""}, {FileRead, "docs/\xff", ""}, {FileWrite, "..", ""},
		{"data.identity", "name, email,name", "email,name"}, {"data.identity", "", ""}, {"data.identity", "E-Mail", ""},
		{"data.identity", "*", ""}, {"data.", "x", ""}, {"data.X", "x", ""},
		{URLOpen, "HTTPS://Example.COM:443/a?b#c", "https://example.com/a?b#c"}, {URLOpen, "http://example.com", "http://example.com/"},
		{URLOpen, "http://example.com:8080/", "http://example.com:8080/"}, {URLOpen, "ftp://example.com/", ""},
		{URLOpen, "https://me@example.com/", ""}, {URLOpen, "javascript:alert(1)", ""}, {URLOpen, "https:///x", ""},
		{URLOpen, "https://0x7f.1/", ""}, {URLOpen, "https://example.com/?\xd1", ""}, {URLOpen, "file:///etc/passwd", ""},
		{Notify, "", "*"}, {Notify, "x", ""}, {SecretUse, "A.b_c-1", "A.b_c-1"}, {SecretUse, "a b", ""}, {SecretUse, "", ""},
	} {
		got, err := Canonical(c.kind, c.text)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s %q is %q, %v; want %q", c.kind, c.text, got, err, c.want)
		}
	}
}

func TestScopesOfRules(t *testing.T) {
	for text, want := range map[string]string{
		"*.Example.com:443": "tcp/*.example.com:443", "any/*:*": "any/*:*", "tcp/10.1.2.3/8:1-65535": "tcp/10.0.0.0/8:*",
		"udp/[fd00::1/8]:53-53": "udp/[fd00::/8]:53", "tcp/10.0.0.1/32:80": "tcp/10.0.0.1:80",
		"tcp/*.10:80": "", "tcp/*.*.com:80": "", "tcp/a*.com:80": "", "tcp/*.:80": "", "tcp/fd00::/8:80": "", "tcp/[10.0.0.0/8]:80": "",
		"tcp/[64:ff9b::/96]:80": "", "tcp/10.0.0.0/33:80": "", "tcp/a.example:90-80": "", "tcp/a.example:1-": "", "tcp/a.example:**": "",
	} {
		got, err := CanonicalRule(NetConnect, text)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q is %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestAllowAndRevoke(t *testing.T) {
	clock := newHandClock()
	e := openIn(t, t.TempDir(), clock.now)
	give := func(r Rule) (Rule, error) { r.App, r.Kind = demo.ID(), NetConnect; return e.Allow(t.Context(), r) }
	for name, r := range map[string]Rule{
		"no time":          {Target: target, Lifetime: Timed},
		"over already":     {Target: target, Lifetime: Timed, Expires: clock.now()},
		"more than a year": {Target: target, Lifetime: Timed, Expires: clock.now().Add(maxTime + 1)},
		"no run":           {Target: target, Lifetime: Run},
		"once":             {Target: target, Lifetime: Once},
		"no target":        {},
	} {
		if _, err := give(r); !errors.Is(err, ErrBadRule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	yes, err := give(Rule{Target: "API.example.com:443", Verdict: Allow})
	if err != nil || yes.Target != target || yes.Lifetime != Always {
		t.Fatalf("%+v, %v", yes, err)
	}
	no, err := give(Rule{Target: target, Verdict: Deny}) // the same thing: it takes its place
	if err != nil || len(e.Rules("")) != 1 {
		t.Fatalf("%v, rules %+v", err, e.Rules(""))
	}
	if _, err := give(Rule{Target: "tcp/b.example:1", Verdict: Allow, Lifetime: Timed, Expires: clock.now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	for name, s := range map[string]Selector{"none": {}, "two": {ID: no.ID, All: true}, "unknown": {ID: yes.ID}} {
		if _, err := e.Revoke(t.Context(), s); !errors.Is(err, ErrNoSuchRule) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if taken, err := e.Revoke(t.Context(), Selector{App: "sha256:other"}); err != nil || len(taken) != 0 {
		t.Errorf("of another app: %v, %v", taken, err)
	}
	if taken, err := e.Revoke(t.Context(), Selector{ID: no.ID}); err != nil || len(taken) != 1 || len(e.Rules("")) != 1 {
		t.Errorf("one: %v, %v", taken, err)
	}
	if taken, err := e.Revoke(t.Context(), Selector{App: demo.ID()}); err != nil || len(taken) != 1 || len(e.Rules("")) != 0 {
		t.Errorf("all of the app: %v, %v", taken, err)
	}
}
