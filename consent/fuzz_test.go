package consent

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// fuzzKinds are the kinds by number, so that the fuzzer can choose one.
var fuzzKinds = []Kind{NetConnect, NetListen, FileRead, FileWrite, URLOpen, Notify, SecretUse, "data.identity", AnyKind, "no.such"}

func fuzzKind(n uint8) Kind { return fuzzKinds[int(n)%len(fuzzKinds)] }

var targetSeeds = []string{
	"tcp/api.example.com:443", "API.Example.com.:443", "udp/[fd00::1]:53", "tcp/[::ffff:10.0.0.1]:80", "tcp/0x7f.1:80",
	"tcp/2130706433:80", "tcp/[64:ff9b::a00:1]:80", "any/*.example.com:1-1024", "any/10.0.0.0/8:*", "tcp/[fd00::/8]:443",
	"tcp/*:443", "8080", "8000-8099", "docs/a/../b", "docs//x", "docs/\u202Ex", "https://user@example.com:443/x",
	"HTTPS://EXAMPLE.com", "http://[::1]:80/?q#f", "email,name", "name, email,email", "*", "", "TOKEN", "tcp/\u212A.example:1",
	"tcp/xn--bcher-kva.example:443", "tcp/b\u00fccher.example:443", "tcp/169.254.169.254:80", "tcp/a\x00b:1", "tcp/[fe80::1%eth0]:1",
}

func seedTargets(f *testing.F) {
	for i, text := range targetSeeds {
		f.Add(uint8(i), text)
		f.Add(uint8(0), text)
	}
}

// What a request is for has one spelling: a canonical text is its own canonical
// text, Lookup takes it, and takes no other.
func FuzzCanonical(f *testing.F) {
	seedTargets(f)
	empty, err := NewGrants(nil)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		k := fuzzKind(n)
		canonical, err := Canonical(k, text)
		if err != nil {
			return
		}
		if again, err := Canonical(k, canonical); err != nil || again != canonical {
			t.Fatalf("%s %q is %q, which is %q, %v", k, text, canonical, again, err)
		}
		if canonical == "" || len(canonical) > maxTarget+len("tcp/") || !utf8.ValidString(canonical) ||
			strings.ContainsFunc(canonical, unicode.IsControl) {
			t.Fatalf("%s %q is %q", k, text, canonical)
		}
		r := Request{App: demo, Run: "run1", Kind: k, Target: canonical}
		if d, decided := empty.Lookup(r, begin); d.Verdict != Deny || decided && d.Detail != metadataNever {
			t.Fatalf("%s %q without rules: %+v, %v", k, canonical, d, decided)
		}
		// A rule for exactly this lets exactly this through.
		scope, err := CanonicalRule(k, canonical)
		if err != nil {
			t.Fatalf("%s %q can be asked for, and not granted: %v", k, canonical, err)
		}
		g, err := NewGrants([]Rule{{ID: "a", App: demo.ID(), Kind: k, Target: scope, Verdict: Allow, Lifetime: Always}})
		if err != nil {
			t.Fatalf("%s %q: %v", k, scope, err)
		}
		if d, _ := g.Lookup(r, begin); (d.Verdict == Allow) == (d.Detail == metadataNever) {
			t.Fatalf("%s %q, granted as %q: %+v", k, canonical, scope, d)
		}
	})
}

// A rule's text is read in one way, and never covers another app or kind.
func FuzzCanonicalRule(f *testing.F) {
	seedTargets(f)
	f.Fuzz(func(t *testing.T, n uint8, text string) {
		k := fuzzKind(n)
		scope, err := CanonicalRule(k, text)
		if err != nil {
			return
		}
		if again, err := CanonicalRule(k, scope); err != nil || again != scope {
			t.Fatalf("%s %q is %q, which is %q, %v", k, text, scope, again, err)
		}
		rule := Rule{ID: "a", App: demo.ID(), Kind: k, Target: scope, Verdict: Deny, Lifetime: Always}
		g, err := NewGrants([]Rule{rule})
		if err != nil {
			t.Fatalf("%s %q: %v", k, scope, err)
		}
		other := demo
		other.Digest = "sha256:ff"
		if _, decided := g.Lookup(Request{App: other, Kind: NetListen, Target: "8080"}, begin); decided {
			t.Fatalf("%s %q decides for another app", k, scope)
		}
		// What is asked for in the rule's own words agrees with the plain reading.
		if target, err := Canonical(k, scope); err == nil {
			r := Request{App: demo, Kind: k, Target: target}
			v, want, _ := refVerdict([]Rule{rule}, r, begin)
			if d, decided := g.Lookup(r, begin); d.Source == FromRule && (decided != want || d.Verdict != v) {
				t.Fatalf("%s %q about %q: %+v, %v; want %s, %v", k, scope, target, d, decided, v, want)
			}
		}
	})
}

// What an app says of itself comes out as one short line in which everything
// has a shape.
func FuzzCleanName(f *testing.F) {
	for _, text := range hostile {
		f.Add(text)
	}
	f.Add("docker.io/library/nginx:1")
	f.Fuzz(func(t *testing.T, text string) {
		for _, clean := range []string{CleanName(text), CleanText(text)} {
			if !utf8.ValidString(clean) || utf8.RuneCountInString(clean) > maxRunes {
				t.Fatalf("%q became %q", text, clean)
			}
			for _, r := range clean {
				if r != ' ' && (isBlank(r) || hasNoShape(r)) || strings.ContainsRune(ourQuotes, r) {
					t.Fatalf("%q became %q with %U", text, clean, r)
				}
			}
			if strings.TrimSpace(clean) != clean || strings.Contains(clean, "  ") {
				t.Fatalf("%q became %q, with blanks to spare", text, clean)
			}
		}
		if name := CleanName(text); name == "" || CleanName(name) != name {
			t.Fatalf("%q became %q, and that %q", text, name, CleanName(name))
		}
	})
}

// The clock never goes back, whatever the machine's does.
func FuzzClock(f *testing.F) {
	f.Add(int64(time.Hour), int64(-2*time.Hour), int64(1))
	f.Add(int64(-1), int64(1<<62), int64(-1<<62))
	f.Fuzz(func(t *testing.T, a, b, c int64) {
		at := begin
		clock := newClock(func() time.Time { return at }, begin)
		last := clock.time()
		for _, step := range []int64{a, b, c} {
			at = at.Add(time.Duration(step))
			if now := clock.time(); now.Before(last) {
				t.Fatalf("%s after %s", now, last)
			} else {
				last = now
			}
		}
	})
}
