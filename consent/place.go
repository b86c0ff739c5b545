package consent

import (
	"net/netip"
	"strings"
)

// place is where a target lies, as far as its text tells.
type place uint8

const (
	inTheWorld place = iota
	onThisComputer
	inLocalNetwork
	linkLocal
	behindCarrier // shared address space of a provider
	unnamed       // a public address without a name
)

const metadataNever = "cloud metadata addresses are never given to an app"

var (
	carrier = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	// Where clouds answer with credentials: AWS, Azure, GCP and others; ECS;
	// AWS over IPv6; Alibaba.
	metadata = [...]netip.Addr{
		netip.MustParseAddr("169.254.169.254"),
		netip.MustParseAddr("169.254.170.2"),
		netip.MustParseAddr("169.254.170.23"),
		netip.MustParseAddr("fd00:ec2::254"),
		netip.MustParseAddr("fd00:ec2::23"),
		netip.MustParseAddr("100.100.100.200"),
	}
)

func isMetadata(addr netip.Addr) bool {
	for _, m := range metadata {
		if m == addr {
			return true
		}
	}
	return false
}

func (h host) place() place {
	if h.net.IsValid() {
		return addrPlace(h.net.Addr())
	}
	switch {
	case h.name == "localhost" || strings.HasSuffix(h.name, ".localhost"):
		return onThisComputer
	case strings.IndexByte(h.name, '.') < 0, hasAnySuffix(h.name, ".local", ".lan", ".internal", ".home.arpa"):
		return inLocalNetwork
	}
	return inTheWorld
}

func addrPlace(addr netip.Addr) place {
	switch {
	case addr.IsLoopback(), addr.IsUnspecified():
		return onThisComputer
	case addr.IsPrivate(), addr.IsMulticast():
		return inLocalNetwork
	case addr.IsLinkLocalUnicast():
		return linkLocal
	case carrier.Contains(addr):
		return behindCarrier
	}
	return unnamed
}

func hasAnySuffix(s string, suffixes ...string) bool {
	for _, suffix := range suffixes {
		if strings.HasSuffix(s, suffix) {
			return true
		}
	}
	return false
}
