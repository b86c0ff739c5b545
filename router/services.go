package router

import (
	"net/netip"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// services are the names of the app's own wire: the gateway, the data API and
// the app itself. They are answered with real addresses of the wire, both ways
// round, and nobody outside is ever asked about them. They take no place in the
// table of names.
type services struct {
	hosts map[string]pair
	addrs map[netip.Addr]string
}

// pair is a host's address of each family.
type pair struct{ addr4, addr6 netip.Addr }

var (
	gatewayPair = pair{gateway4, gateway6}
	appPair     = pair{appNet4.Addr(), appNet6.Addr()}
)

// newServices takes the app's own host name, which may be empty. One that is no
// name of a host, or that is taken, gets no entry.
func newServices(hostname string) *services {
	s := &services{hosts: map[string]pair{}, addrs: map[netip.Addr]string{}}
	s.add(sandbox.GatewayName, gatewayPair)
	s.add(sandbox.DataAPIName, gatewayPair)
	host, err := sandbox.CanonicalHost(hostname)
	full := host + "." + sandbox.ServiceDomain
	_, taken := s.hosts[full]
	if err != nil || taken || full == sandbox.HostName || host == localName || strings.Contains(host, ".") {
		return s
	}
	s.add(host, appPair)
	s.add(full, appPair)
	return s
}

// add makes the first name of an address the one that the address leads to.
func (s *services) add(host string, to pair) {
	s.hosts[host] = to
	for _, addr := range []netip.Addr{to.addr4, to.addr6} {
		if s.addrs[addr] == "" {
			s.addrs[addr] = host
		}
	}
}

// claims says whether host is for this table alone, known to it or not. The
// user's computer is not: it is asked about like any other host.
func (s *services) claims(host string) bool {
	if host == sandbox.HostName {
		return false
	}
	_, known := s.hosts[host]
	return known || host == sandbox.ServiceDomain || strings.HasSuffix(host, "."+sandbox.ServiceDomain)
}

// lookup finds the addresses of a host of the wire.
func (s *services) lookup(host string) (addr4, addr6 netip.Addr, ok bool) {
	p, ok := s.hosts[host]
	return p.addr4, p.addr6, ok
}

// reverse finds the host of an address of the wire.
func (s *services) reverse(addr netip.Addr) (string, bool) {
	host, ok := s.addrs[addr]
	return host, ok
}
