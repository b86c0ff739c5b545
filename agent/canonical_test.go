package agent

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// FuzzTargetIsDialledAsJudged: what the user is asked about, what the rules
// compare and what the dialler is given are one text, whatever the app wrote; a
// name in it is nothing that a resolver would read as an address by itself.
func FuzzTargetIsDialledAsJudged(f *testing.F) {
	for _, host := range []string{
		"example.com", "EXAMPLE.com.", "xn--bcher-kva.example", "bücher.example", "ｅxample.com", "日本語。ＪＰ", "faß.de",
		"127.0.0.1", "0x7f.1", "2130706433", "127.1", "0177.0.0.1", "1.2.3.4.", "::1", "::ffff:9.9.9.9", "64:ff9b::909:909", "fe80::1%eth0",
		"a\x00.example", "a b", "a%2eexample", "[::1]", "a@b", "a/b", "a:80", "localhost", "x.LOCALHOST", "host.consentry.internal", "*.example", ".", "..", "a..b", "-", "_dmarc.example",
	} {
		f.Add(host)
	}
	f.Fuzz(func(t *testing.T, host string) {
		target, err := canonicalTarget(sandbox.Flow{Network: "tcp", Host: host, Port: 443})
		if err != nil {
			return
		}
		judged, err := consent.Canonical(consent.NetConnect, target.String())
		if err != nil {
			t.Fatalf("%q is dialled as %s, which nobody can be asked about: %v", host, target, err)
		}
		dialled := target.dialled()
		addr, isAddress := netip.ParseAddr(dialled.Host)
		switch {
		case isAddress == nil && (target.addr != addr || addr.Is4In6() || addr.Zone() != ""):
			t.Fatalf("%q is dialled as %s, judged as the address %s", host, dialled.Host, target.addr)
		case isAddress == nil && judged != target.String() && !netip.MustParsePrefix("64:ff9b::/96").Contains(addr):
			t.Fatalf("%q is dialled as %s, judged as %s", host, target, judged)
		case isAddress != nil && (target.addr.IsValid() || judged != target.String()):
			t.Fatalf("%q is dialled as %s, judged as %s, %s", host, target, judged, target.addr)
		case isAddress != nil && strings.Trim(dialled.Host[strings.LastIndexByte(dialled.Host, '.')+1:], "0123456789") == "":
			t.Fatalf("%q is dialled as the name %s, which resolvers read as an address", host, dialled.Host)
		}
	})
}
