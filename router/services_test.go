package router

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/consentry/consentry/sandbox"
)

func TestServicesHaveNames(t *testing.T) {
	table := newNames(10, time.Now, newServices("web-1"))
	for _, c := range []struct {
		name         string
		addr4, addr6 string
	}{
		{"gateway.consentry.internal.", sandbox.Gateway4, sandbox.Gateway6},
		{"API.consentry.internal.", sandbox.Gateway4, sandbox.Gateway6},
		{"web-1.", "10.0.2.15", "fd00:c0de::15"},
		{"web-1.consentry.internal.", "10.0.2.15", "fd00:c0de::15"},
	} {
		a := answered(t, table, queryFor(t, c.name, dnsmessage.TypeA)).Answers[0].Body.(*dnsmessage.AResource)
		aaaa := answered(t, table, queryFor(t, c.name, dnsmessage.TypeAAAA)).Answers[0].Body.(*dnsmessage.AAAAResource)
		if got := netip.AddrFrom4(a.A).String(); got != c.addr4 {
			t.Errorf("%s is at %s", c.name, got)
		}
		if got := netip.AddrFrom16(aaaa.AAAA).String(); got != c.addr6 {
			t.Errorf("%s is at %s", c.name, got)
		}
	}
	for _, name := range []string{"consentry.internal.", "other.consentry.internal.", "x.api.consentry.internal."} {
		if m := answered(t, table, queryFor(t, name, dnsmessage.TypeA)); m.RCode != dnsmessage.RCodeNameError {
			t.Errorf("%s: %v %v", name, m.RCode, m.Answers)
		}
	}
	for arpa, want := range map[string]string{
		"2.2.0.10.in-addr.arpa.":                                      "gateway.consentry.internal.",
		"15.2.0.10.in-addr.arpa.":                                     "web-1.",
		"2" + strings.Repeat(".0", 23) + ".e.d.0.c.0.0.d.f.ip6.arpa.": "gateway.consentry.internal.",
	} {
		m := answered(t, table, queryFor(t, arpa, dnsmessage.TypePTR))
		if len(m.Answers) != 1 || m.Answers[0].Body.(*dnsmessage.PTRResource).PTR.String() != want {
			t.Errorf("%s leads to %v, want %s", arpa, m.Answers, want)
		}
	}
	if table.size() != 0 {
		t.Error("names of the wire took synthetic addresses")
	}
}

// The user's computer is asked about like any host, so it has an address that
// is held.
func TestTheUsersComputerIsNoService(t *testing.T) {
	table := newNames(10, time.Now, newServices("host"))
	m := answered(t, table, queryFor(t, sandbox.HostName+".", dnsmessage.TypeA))
	if a, ok := m.Answers[0].Body.(*dnsmessage.AResource); !ok || !isSynthetic(netip.AddrFrom4(a.A)) {
		t.Errorf("answer %v", m.Answers)
	}
}

// A host name that is taken, or that resolvers would read as more, is no entry.
func TestHostNamesThatAreNone(t *testing.T) {
	plain := len(newServices("").hosts)
	for _, hostname := range []string{"", "api", "gateway", "host", "localhost", "127", "0x7f", "a.b", "-a", "a b", "xn--a"} {
		if s := newServices(hostname); len(s.hosts) != plain {
			t.Errorf("%q made entries: %v", hostname, s.hosts)
		}
	}
}

func TestServicesAreNotAskedUpstream(t *testing.T) {
	r := &Router{lookups: asksNobody{}, names: newNames(10, time.Now, newServices("web"))}
	for _, name := range []string{"web.", "_http._tcp.web.consentry.internal.", "secret.consentry.internal."} {
		if q, ok := r.upstream(queryFor(t, name, dnsmessage.TypeTXT)); ok {
			t.Errorf("%s would be asked upstream as %+v", name, q.lookup)
		}
	}
	if _, ok := r.upstream(queryFor(t, "example.com.", dnsmessage.TypeTXT)); !ok {
		t.Error("a name of the world is not asked upstream: this test shows nothing")
	}
}

type asksNobody struct{ sandbox.Lookuper }
