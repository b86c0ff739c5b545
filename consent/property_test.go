package consent

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/app"
)

// cases makes random rules and requests from a small world, so that they meet.
type cases struct{ *rand.Rand }

func pick[T any](c cases, from ...T) T { return from[c.IntN(len(from))] }

func (c cases) name() string {
	labels := []string{pick(c, "com", "org")}
	for range c.IntN(4) {
		labels = append([]string{pick(c, "a", "b", "ab")}, labels...)
	}
	return strings.Join(labels, ".")
}

func (c cases) addr() string {
	return pick(c, "10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1", "192.168.0.1", "[fd00::1]", "[fd00::2]", "[fd00:1::1]", "8.8.8.8")
}

func (c cases) host() string {
	if c.IntN(3) == 0 {
		return c.addr()
	}
	return c.name()
}

func (c cases) port() string { return pick(c, "22", "80", "443", "8080", "8081", "65535", "1") }

func (c cases) path() string {
	parts := []string{pick(c, "docs", "pics")}
	for range c.IntN(4) {
		parts = append(parts, pick(c, "a", "b", "ab"))
	}
	return strings.Join(parts, "/")
}

func (c cases) fields() string {
	var fields []string
	for _, f := range []string{"email", "locale", "name", "phone"} {
		if c.IntN(2) == 0 {
			fields = append(fields, f)
		}
	}
	if len(fields) == 0 {
		return "email"
	}
	return strings.Join(fields, ",")
}

var kindsOfCases = []Kind{NetConnect, NetConnect, NetConnect, NetListen, FileRead, FileWrite, URLOpen, Notify, SecretUse, "data.identity", "data.contacts"}

// target is what a request may be for.
func (c cases) target(k Kind) string {
	switch k {
	case NetConnect:
		return fmt.Sprintf("%s/%s:%s", pick(c, "tcp", "udp"), c.host(), c.port())
	case NetListen:
		return c.port()
	case FileRead, FileWrite:
		return c.path()
	case URLOpen:
		return fmt.Sprintf("%s://%s%s/%s", pick(c, "http", "https"), c.name(), pick(c, "", ":8080"), pick(c, "", "x", "x/y", "?q", "#f"))
	case Notify:
		return "*"
	case SecretUse:
		return pick(c, "A", "B")
	}
	return c.fields()
}

// scope is what a rule may be for.
func (c cases) scope(k Kind) string {
	ports := func() string {
		return pick(c, c.port(), c.port(), "*", "1-1024", "80-443", "8080-8081", "443-443", "22-80")
	}
	switch k {
	case NetConnect:
		host := pick(c, c.host(), c.host(), "*."+c.name(), "*", "10.0.0.0/8", "10.0.0.0/24", "10.0.0.0/16", "0.0.0.0/0", "[fd00::/8]", "[fd00::/64]", "[::/0]", "10.0.0.1/32")
		return fmt.Sprintf("%s/%s:%s", pick(c, "tcp", "udp", "any"), host, ports())
	case NetListen:
		return ports()
	case URLOpen:
		url := c.target(k)
		if c.IntN(2) == 0 {
			return originOf(url)
		}
		return url
	case AnyKind, Notify:
		return "*"
	}
	if k.IsData() && c.IntN(4) == 0 {
		return "*"
	}
	return c.target(k)
}

var begin = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

func (c cases) rule(i int) Rule {
	r := Rule{
		ID: fmt.Sprintf("r%02d", i), App: pick(c, demo.ID(), demo.ID(), demo.ID(), "sha256:other"), Kind: pick(c, kindsOfCases...),
		Verdict: pick(c, Allow, Deny), Lifetime: pick(c, Always, Always, Run, Timed), Since: begin,
	}
	if c.IntN(12) == 0 {
		r.Kind, r.Verdict = AnyKind, Deny
	}
	switch r.Lifetime {
	case Run:
		r.Run = pick(c, "run1", "run2")
	case Timed:
		r.Expires = begin.Add(time.Duration(c.IntN(4)) * time.Second)
	case Always:
		if r.Verdict == Allow && c.IntN(3) == 0 {
			r.Lapses = begin.Add(time.Duration(c.IntN(4)) * time.Second)
		}
	}
	text, err := CanonicalRule(r.Kind, c.scope(r.Kind))
	if err != nil {
		panic(err)
	}
	r.Target = text
	return r
}

func (c cases) request() Request {
	k := pick(c, kindsOfCases...)
	text, err := Canonical(k, c.target(k))
	if err != nil {
		panic(err)
	}
	return Request{App: demo, Run: pick(c, "run1", "run2", "run3"), Kind: k, Target: text}
}

// TestLookupIsTheReference compares Lookup with the plain reading of the rules.
// A failure prints the seed, and the case whole.
func TestLookupIsTheReference(t *testing.T) {
	total := 300_000
	if long() {
		total = 5_000_000
	}
	seed := rand.Uint64()
	t.Logf("seed %d, %d cases", seed, total)
	c := cases{rand.New(rand.NewPCG(seed, 1))}
	decidedCount, allowedCount := 0, 0
	const requests = 25
	for range total / requests {
		rules := make([]Rule, c.IntN(14))
		for i := range rules {
			rules[i] = c.rule(i)
		}
		g, err := NewGrants(rules)
		if err != nil {
			t.Fatalf("rules %+v: %v", rules, err)
		}
		for range requests {
			r, now := c.request(), begin.Add(time.Duration(c.IntN(5))*time.Second-time.Duration(c.IntN(2)))
			d, decided := g.Lookup(r, now)
			v, want, given := refVerdict(rules, r, now)
			if decided != want || decided && (d.Verdict != v || d.Given != given || d.Source != FromRule) {
				t.Fatalf("seed %d: %s %s of %s at +%s\nrules %s\nLookup: %+v, %v\nmodel:  %s, %v, given %q",
					seed, r.Kind, r.Target, r.Run, now.Sub(begin), describeRules(rules), d, decided, v, want, given)
			}
			if decided {
				decidedCount++
				allowedCount += int(d.Verdict)
			}
		}
	}
	t.Logf("%d decided, %d allowed", decidedCount, allowedCount)
	if decidedCount < total/10 || allowedCount < total/50 {
		t.Error("the cases hardly meet: the comparison says little")
	}
}

func describeRules(rules []Rule) string {
	var b strings.Builder
	for _, r := range rules {
		fmt.Fprintf(&b, "\n  %s %s %s %s %s run=%q expires=%s lapses=%s", r.ID, r.App, r.Verdict, r.Kind, r.Target, r.Run,
			r.Expires.Sub(begin), r.Lapses.Sub(begin))
	}
	return b.String()
}

// A rule for an app never decides about another one, whatever its names.
func TestRulesBelongToOneApp(t *testing.T) {
	published := app.App{Name: "demo", Digest: demo.Digest, Publisher: "registry.example/x"}
	g, err := NewGrants([]Rule{
		{ID: "a", App: demo.ID(), Kind: NetConnect, Target: target, Verdict: Allow, Lifetime: Always},
		{ID: "b", App: published.ID(), Kind: Notify, Target: "*", Verdict: Allow, Lifetime: Always},
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		app  app.App
		kind Kind
		text string
		want bool
	}{
		"its own":          {demo, NetConnect, target, true},
		"published":        {published, Notify, "*", true},
		"of the other":     {published, NetConnect, target, false},
		"and back":         {demo, Notify, "*", false},
		"same name, other": {app.App{Name: "demo", Digest: "sha256:ff"}, NetConnect, target, false},
		"id in the name":   {app.App{Name: string(demo.ID()), Digest: "sha256:ff"}, NetConnect, target, false},
	} {
		if _, ok := g.Lookup(Request{App: c.app, Kind: c.kind, Target: c.text}, begin); ok != c.want {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

// tenThousand rules of one app, and one more for target.
func tenThousand() []Rule {
	rules := make([]Rule, 0, 10_001)
	for i := range 10_000 {
		text := fmt.Sprintf("tcp/h%d.example%d.com:443", i, i%100)
		switch i % 10 {
		case 7:
			text = fmt.Sprintf("tcp/*.w%d.example.com:*", i)
		case 8:
			text = fmt.Sprintf("any/10.%d.%d.0/24:1-1024", i/250%250, i%250)
		case 9:
			text = fmt.Sprintf("udp/h%d.example.com:53", i)
		}
		rules = append(rules, Rule{ID: fmt.Sprintf("r%d", i), App: demo.ID(), Kind: NetConnect, Target: text, Verdict: Allow, Lifetime: Always})
	}
	return append(rules, Rule{ID: "t", App: demo.ID(), Kind: NetConnect, Target: target, Verdict: Allow, Lifetime: Always})
}

func TestLookupTakesNoMemory(t *testing.T) {
	g, err := NewGrants(append(tenThousand(),
		Rule{ID: "any", App: demo.ID(), Kind: AnyKind, Target: "*", Verdict: Deny, Lifetime: Always},
		Rule{ID: "f", App: demo.ID(), Kind: "data.identity", Target: "email,name", Verdict: Allow, Lifetime: Always},
		Rule{ID: "p", App: demo.ID(), Kind: FileRead, Target: "docs", Verdict: Allow, Lifetime: Always},
		Rule{ID: "u", App: demo.ID(), Kind: URLOpen, Target: "https://example.com", Verdict: Allow, Lifetime: Always},
	))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind Kind
		text string
		want Verdict
	}{
		{NetConnect, target, Allow}, {NetConnect, "tcp/a.b.w7.example.com:1", Allow}, {NetConnect, "tcp/10.0.8.9:80", Allow},
		{NetConnect, "tcp/nobody.knows.example:443", Deny}, {FileRead, "docs/a/b/c", Allow}, {FileWrite, "docs", Deny},
		{"data.identity", "email,name", Allow}, {"data.contacts", "all", Deny}, {URLOpen, "https://example.com/x", Allow},
	} {
		r := Request{App: demo, Run: "run1", Kind: c.kind, Target: c.text}
		allocs := testing.AllocsPerRun(100, func() {
			if d, ok := g.Lookup(r, begin); !ok || d.Verdict != c.want {
				t.Errorf("%s %s: %+v, %v", c.kind, c.text, d, ok)
			}
		})
		if allocs != 0 {
			t.Errorf("%s %s: %.0f allocations", c.kind, c.text, allocs)
		}
	}
}

// BenchmarkLookup is a granted host among 10,000 grants.
func BenchmarkLookup(b *testing.B) {
	g, err := NewGrants(tenThousand())
	if err != nil {
		b.Fatal(err)
	}
	r, now := asking(target), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if d, ok := g.Lookup(r, now); !ok || d.Verdict != Allow {
			b.Fatal(d, ok)
		}
	}
}
