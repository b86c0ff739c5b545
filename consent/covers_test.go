package consent

import (
	"testing"
	"time"

	"github.com/consentry/consentry/app"
)

func TestCovers(t *testing.T) {
	for _, c := range []struct {
		kind         Kind
		wide, narrow string
		want, back   bool // back: the other way round
	}{
		{NetConnect, "tcp/a.b:443", "tcp/A.B.:443", true, true},
		{NetConnect, "tcp/a.b:443", "tcp/a.b:80", false, false},
		{NetConnect, "tcp/*.b:443", "tcp/a.b:443", true, false},
		{NetConnect, "tcp/*.b:443", "tcp/*.a.b:443", true, false},
		{NetConnect, "tcp/*.b:443", "tcp/b:443", false, false},
		{NetConnect, "tcp/*.b:443", "tcp/xb:443", false, false},
		{NetConnect, "tcp/*:443", "tcp/*.b:443", true, false},
		{NetConnect, "tcp/*:443", "tcp/10.0.0.1:443", false, false},
		{NetConnect, "tcp/10.0.0.0/8:443", "tcp/10.1.0.0/16:443", true, false},
		{NetConnect, "tcp/10.0.0.0/8:443", "tcp/11.0.0.0/8:443", false, false},
		{NetConnect, "tcp/0.0.0.0/0:*", "tcp/[::1]:80", false, false},
		{NetConnect, "tcp/[::]/0:*", "tcp/[::1]:80", false, false}, // not a prefix
		{NetConnect, "tcp/[::/0]:*", "tcp/[::1]:80", true, false},
		{NetConnect, "any/a.b:443", "udp/a.b:443", true, false},
		{NetConnect, "tcp/a.b:443", "udp/a.b:443", false, false},
		{NetConnect, "tcp/a.b:*", "tcp/a.b:8000-8099", true, false},
		{NetConnect, "tcp/a.b:8000-8099", "tcp/a.b:8050-8100", false, false},
		{NetListen, "8000-8099", "8080", true, false},
		{FileRead, "docs", "docs/x/y", true, false},
		{FileRead, "docs", "docs2", false, false},
		{FileWrite, "docs/", "docs", true, true},
		{URLOpen, "https://a.b", "https://a.b/x?y", true, false},
		{URLOpen, "https://a.b", "http://a.b/", false, false},
		{Notify, "*", "*", true, true},
		{SecretUse, "a", "b", false, false},
		{"data.identity", "email,name", "name", true, false},
		{"data.identity", "*", "email,name", true, false},
		{"data.identity", "email", "name", false, false},
		{"device.camera", "*", "*", false, false},
		{NetConnect, "", "", false, false},
	} {
		if got := Covers(c.kind, c.wide, c.narrow); got != c.want {
			t.Errorf("%s: %s covers %s: %v", c.kind, c.wide, c.narrow, got)
		}
		if got := Covers(c.kind, c.narrow, c.wide); got != c.back {
			t.Errorf("%s: %s covers %s: %v", c.kind, c.narrow, c.wide, got)
		}
	}
}

// Where narrow is a request's own target, Covers must say what Lookup does.
func TestCoversAgreesWithLookup(t *testing.T) {
	who := app.App{Name: "n", Digest: "sha256:aa"}
	rules := []string{"tcp/a.b:443", "any/*.b:*", "tcp/*:400-500", "udp/*.a.b:443", "tcp/10.0.0.0/8:443", "any/[fd00::/8]:*", "any/0.0.0.0/0:443", "tcp/10.1.2.3:443"}
	requests := []string{"tcp/a.b:443", "udp/a.b:443", "tcp/x.a.b:443", "udp/x.a.b:443", "tcp/c:450", "tcp/10.1.2.3:443", "tcp/11.0.0.1:443", "tcp/[fd00::1]:80", "tcp/[fe80::1]:80"}
	for _, rule := range rules {
		g, err := NewGrants([]Rule{{ID: "r", App: who.ID(), Kind: NetConnect, Target: rule, Verdict: Allow, Lifetime: Always}})
		if err != nil {
			t.Fatal(err)
		}
		for _, request := range requests {
			_, found := g.Lookup(Request{App: who, Kind: NetConnect, Target: request}, time.Now())
			if got := Covers(NetConnect, rule, request); got != found {
				t.Errorf("%s covers %s: %v, Lookup says %v", rule, request, got, found)
			}
		}
	}
}
