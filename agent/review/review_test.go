package review

import (
	"strings"
	"testing"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

func TestCompare(t *testing.T) {
	net := func(target string) Line { return Line{Kind: consent.NetConnect, Target: target, Reason: "r"} }
	data := func(fields, reason string) Line { return Line{Kind: "data.identity", Target: fields, Reason: reason} }
	before := []Line{net("tcp/a.b:443"), net("tcp/*.c:80-90"), data("email,name", "to greet")}
	for _, c := range []struct {
		line Line
		want Change
		was  string
	}{
		{net("tcp/a.b:443"), Kept, ""},
		{Line{Kind: consent.NetConnect, Target: "tcp/a.b:443", Reason: "another"}, Kept, ""}, // a host is a host
		{net("tcp/x.c:85"), Kept, ""},
		{net("any/a.b:443"), Wider, "tcp/a.b:443"},
		{net("tcp/*.b:443"), Wider, "tcp/a.b:443"},
		{net("tcp/*:*"), Wider, "tcp/a.b:443"},
		{net("tcp/a.b:80"), New, ""},
		{net("tcp/c:85"), New, ""},
		{Line{Kind: consent.NetListen, Target: "443"}, New, ""},
		{data("email", "to greet"), Kept, ""},
		{data("email", "to sell"), Purpose, "to greet"},
		{data("email,name,phone", "to greet"), Wider, "email,name"},
		{Line{Kind: "data.contacts", Target: "email", Reason: "to greet"}, New, ""},
	} {
		got := Compare(before, []Line{c.line})
		if got[0].Change != c.want || got[0].Was != c.was {
			t.Errorf("%s %s: %q, it was %q", c.line.Kind, c.line.Target, got[0].Change, got[0].Was)
		}
	}
	if open := Open(Compare(nil, before)); len(open) != 3 {
		t.Errorf("nothing was reviewed, and of 3 lines only %d are open", len(open))
	}
}

func TestLinesAreCanonicalAndClean(t *testing.T) {
	lines, err := Lines(&app.Manifest{Rights: []app.Right{
		{Kind: "net.connect", Target: "API.example.com.:443", Reason: "a\nb\u202e"},
		{Kind: "data.identity", Target: "name?, email", Reason: "one"},
		{Kind: "data.identity", Target: "email,name", Reason: "two", Without: "w"},
	}})
	want := []Line{
		{consent.NetConnect, "tcp/api.example.com:443", "a b", ""},
		{"data.identity", "email,name", "one; two", "w"},
	}
	if err != nil || len(lines) != 2 || lines[0] != want[0] || lines[1] != want[1] {
		t.Errorf("%+v, %v", lines, err)
	}
}

func TestTitles(t *testing.T) {
	var all []string
	for _, l := range []Line{
		{Kind: consent.NetConnect, Target: "tcp/a.b:443"},
		{Kind: consent.NetConnect, Target: "any/*.b:80-90"},
		{Kind: consent.NetConnect, Target: "udp/*:*"},
		{Kind: consent.NetConnect, Target: "tcp/[fd00::/8]:22"},
		{Kind: consent.NetListen, Target: "8080"},
		{Kind: consent.FileRead, Target: "docs/x"},
		{Kind: consent.FileWrite, Target: "docs"},
		{Kind: consent.URLOpen, Target: "https://a.b"},
		{Kind: consent.Notify, Target: "*"},
		{Kind: consent.SecretUse, Target: "token"},
		{Kind: "data.identity", Target: "email,name"},
		{Kind: "data.contacts", Target: "*"},
	} {
		all = append(all, l.Title())
	}
	const want = `connect to a.b, port 443 (TCP)
connect to every host below b, ports 80-90 (TCP and UDP)
connect to every host that has a name, any port (UDP)
connect to every address in [fd00::/8], port 22 (TCP)
serve port 8080 on this computer
read docs/x
change docs
open https://a.b in your browser
show you notifications
use your secret token
know your identity: email, name
know everything of your contacts`
	if got := strings.Join(all, "\n"); got != want {
		t.Error(got)
	}
}
