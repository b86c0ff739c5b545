package agent

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

func TestCanonicalTarget(t *testing.T) {
	for _, c := range []struct {
		in   sandbox.Flow
		want string // "" is a refusal
	}{
		{sandbox.Flow{Network: "tcp", Host: "API.Example.COM.", Port: 443}, "tcp/api.example.com:443"},
		{sandbox.Flow{Network: "udp", Host: "192.0.2.7", Port: 53}, "udp/192.0.2.7:53"},
		{sandbox.Flow{Network: "tcp", Host: "2001:DB8::1", Port: 80}, "tcp/[2001:db8::1]:80"},
		{sandbox.Flow{Network: "tcp", Host: "::ffff:127.0.0.1", Port: 80}, "tcp/127.0.0.1:80"},
		{sandbox.Flow{Network: "tcp", Host: sandbox.HostName, Port: 8181}, "tcp/127.0.0.1:8181"},
		{sandbox.Flow{Network: "tcp", Host: "localhost", Port: 8181}, "tcp/127.0.0.1:8181"},
		{sandbox.Flow{Network: "tcp", Host: "x.localhost", Port: 8181}, "tcp/127.0.0.1:8181"},
		{sandbox.Flow{Network: "unix", Host: "/run/docker.sock", Port: 1}, ""},
		{sandbox.Flow{Network: "tcp4", Host: "example.com", Port: 1}, ""},
		{sandbox.Flow{Network: "tcp", Host: "example.com"}, ""},
		{sandbox.Flow{Network: "tcp", Host: "", Port: 1}, ""},
		{sandbox.Flow{Network: "tcp", Host: "a b", Port: 1}, ""},
		{sandbox.Flow{Network: "tcp", Host: "example.com/x", Port: 1}, ""},
		{sandbox.Flow{Network: "tcp", Host: "0x7f.1", Port: 1}, ""},
		{sandbox.Flow{Network: "tcp", Host: "2130706433", Port: 1}, ""},
	} {
		got, err := canonicalTarget(c.in)
		switch {
		case c.want == "" && !errors.Is(err, sandbox.ErrInvalid):
			t.Errorf("%+v: got %s, %v; want it refused", c.in, got, err)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("%+v: got %s, %v; want %s", c.in, got, err, c.want)
		}
	}
}

func TestPin(t *testing.T) {
	for _, c := range []struct {
		addrs []string
		want  string // "" is a refusal
	}{
		{[]string{"93.184.216.34"}, "93.184.216.34"},
		{[]string{"10.0.0.1", "93.184.216.34"}, "93.184.216.34"},
		{[]string{"192.168.1.1"}, "192.168.1.1"},
		{[]string{"127.0.0.1"}, "127.0.0.1"},
		{[]string{"100.64.1.1"}, "100.64.1.1"},
		{[]string{"fe80::1"}, "fe80::1"},
		{[]string{"169.254.169.254"}, ""},
		{[]string{"fd00:ec2::254"}, ""},
		{[]string{"224.0.0.1"}, ""},
		{[]string{"0.0.0.0"}, ""},
		{[]string{"198.18.0.1"}, ""},
		{[]string{"64:ff9b::a9fe:a9fe"}, ""},
		{nil, ""},
	} {
		var addrs []netip.Addr
		for _, a := range c.addrs {
			addrs = append(addrs, netip.MustParseAddr(a))
		}
		got, _, err := pin(addrs)
		switch {
		case c.want == "" && !errors.Is(err, sandbox.ErrDenied):
			t.Errorf("%v: got %s, %v; want it refused", c.addrs, got, err)
		case c.want != "" && (err != nil || got.String() != c.want):
			t.Errorf("%v: got %s, %v; want %s", c.addrs, got, err, c.want)
		}
	}
}

func TestTheReasonOfTheManifest(t *testing.T) {
	b := &broker{app: app.App{Manifest: &app.Manifest{Rights: []app.Right{
		{Kind: "net.connect", Target: "API.example.com:443", Reason: "the api"},
		{Kind: "net.connect", Target: "*.cdn.example:443", Reason: "pictures"},
		{Kind: "data.identity", Target: "email,name?", Reason: "to greet you"},
	}}}}
	for target, want := range map[string]string{
		"tcp/api.example.com:443": "the api", "tcp/api.example.com:80": "", "tcp/a.cdn.example:443": "pictures", "tcp/cdn.example:443": "",
	} {
		if got := b.wish(consent.NetConnect, target); got == nil && want != "" || got != nil && got.Reason != want {
			t.Errorf("%s: %+v, want %q", target, got, want)
		}
	}
	for target, want := range map[string]bool{"name": true, "email,name": true, "avatar": false} {
		if got := b.wish("data.identity", target); (got != nil) != want {
			t.Errorf("%s: %+v", target, got)
		}
	}
}
