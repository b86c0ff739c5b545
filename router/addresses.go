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

	// gatewayLink6 is who speaks in router discovery, which is of the link.
	gatewayLink6 = netip.MustParseAddr("fe80::2")
	prefix6      = appNet6.Masked().Addr()
	// appAuto6 is what an app makes for itself of the prefix and its card.
	appAuto6 = autoAddress(prefix6, appMAC)

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

func isApp(addr netip.Addr) bool {
	return addr == appNet4.Addr() || addr == appNet6.Addr() || addr == appAuto6
}

// autoAddress is the address of RFC 4291, appendix A.
func autoAddress(prefix netip.Addr, card hardware) netip.Addr {
	raw := prefix.As16()
	copy(raw[8:], []byte{card[0] ^ 2, card[1], card[2], 0xff, 0xfe, card[3], card[4], card[5]})
	return netip.AddrFrom16(raw)
}

// onLink says whether addr lies on the app's own wire.
func onLink(addr netip.Addr) bool {
	return appNet4.Masked().Contains(addr) || appNet6.Masked().Contains(addr)
}
