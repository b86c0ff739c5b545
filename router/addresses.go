package router

import (
	"net/netip"

	"github.com/consentry/consentry/sandbox"
)

// The addresses of package sandbox, parsed. They are constants in all but type.
var (
	appMAC     = mac(sandbox.AppMAC)
	gatewayMAC = mac(sandbox.GatewayMAC)

	appNet4  = netip.MustParsePrefix(sandbox.AppPrefix4)
	appNet6  = netip.MustParsePrefix(sandbox.AppPrefix6)
	gateway4 = netip.MustParseAddr(sandbox.Gateway4)
	gateway6 = netip.MustParseAddr(sandbox.Gateway6)

	synthetic4 = netip.MustParsePrefix(sandbox.SyntheticPrefix4)
	synthetic6 = netip.MustParsePrefix(sandbox.SyntheticPrefix6)
)

type hardware [6]byte

// mac parses "02:…" as it stands in package sandbox.
func mac(text string) hardware {
	var out hardware
	for i := range out {
		out[i] = unhex(text[3*i])<<4 | unhex(text[3*i+1])
	}
	return out
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func isGateway(addr netip.Addr) bool { return addr == gateway4 || addr == gateway6 }

func isApp(addr netip.Addr) bool { return addr == appNet4.Addr() || addr == appNet6.Addr() }

// onLink says whether addr lies on the app's own wire.
func onLink(addr netip.Addr) bool {
	return appNet4.Masked().Contains(addr) || appNet6.Masked().Contains(addr)
}
