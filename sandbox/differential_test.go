package sandbox

import (
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// whatwg are hosts of the URL Standard and what a browser makes of them
// (web-platform-tests, url/resources/toascii.json and urltestdata.json); ""
// means that it refuses them.
var whatwg = []struct{ in, browser string }{
	{"example.com", "example.com"},
	{"EXAMPLE.COM", "example.com"},
	{"example.com.", "example.com."},
	{"0x7f.1", "127.0.0.1"},
	{"0x7f000001", "127.0.0.1"},
	{"2130706433", "127.0.0.1"},
	{"127.1", "127.0.0.1"},
	{"0177.0.0.1", "127.0.0.1"},
	{"127.0.0.1.", "127.0.0.1"},
	{"127.0.0.0x1", "127.0.0.1"},
	{"0", "0.0.0.0"},
	{"4294967296", ""},
	{"256.256.256.256", ""},
	{"1.2.3.4.5", ""},
	{"foo.0x", ""},
	{"foo.09", ""},
	{"a.b.127", ""},
	{"faß.de", "xn--fa-hia.de"},
	{"Bücher.example", "xn--bcher-kva.example"},
	{"xn--bcher-kva.example", "xn--bcher-kva.example"},
	{"日本語。ＪＰ", "xn--wgv71a119e.jp"},
	{"Ｇｏ.com", "go.com"},
	{"ａ\u00ad.example", "a.example"},
	{"a\u200db.example", ""},
	{"xn--a", ""},
	{"xn--zn7c.com", ""},
	{"a b.example", ""},
	{"a%41.example", "aa.example"},
	{"a\x00.example", ""},
	{"a@b.example", ""},
	{"a/b.example", ""},
	{"a\\b.example", ""},
	{"a<b.example", ""},
	{"::1", "::1"},
	{"0:0:0:0:0:0:0:1", "::1"},
	{"::ffff:127.0.0.1", "::ffff:7f00:1"},
	{"::127.0.0.1", "::7f00:1"},
	{"fe80::1%eth0", ""},
	{"64:ff9b::a9fe:a9fe", "64:ff9b::a9fe:a9fe"},
}

// TestCanonicalHostAgreesWithBrowsers: where both take a host they mean the same
// one. We may refuse more, never less, and never mean another.
func TestCanonicalHostAgreesWithBrowsers(t *testing.T) {
	for _, c := range whatwg {
		ours, err := CanonicalHost(c.in)
		switch {
		case err != nil:
		case c.browser == "":
			t.Errorf("%q is %q to us, and nothing to a browser", c.in, ours)
		case !sameToADialler(ours, strings.TrimSuffix(c.browser, ".")):
			t.Errorf("%q is %q to us, %q to a browser", c.in, ours, c.browser)
		}
	}
}

// sameToADialler compares addresses as addresses.
func sameToADialler(a, b string) bool {
	addrA, errA := netip.ParseAddr(a)
	addrB, errB := netip.ParseAddr(b)
	if errA == nil && errB == nil {
		return addrA.Unmap() == addrB.Unmap()
	}
	return a == b && errA != nil && errB != nil
}

// FuzzHostAgainstOthers: the form is one of its own, net/url finds the same host in
// a URL made of it, and a dialler takes it for an address exactly when it is
// written as one.
func FuzzHostAgainstOthers(f *testing.F) {
	for _, c := range whatwg {
		f.Add(c.in)
	}
	f.Fuzz(func(t *testing.T, in string) {
		host, err := CanonicalHost(in)
		if err != nil {
			return
		}
		if again, err := CanonicalHost(host); err != nil || again != host {
			t.Errorf("%q is %q, then %q, %v", in, host, again, err)
		}
		written := host
		if strings.Contains(host, ":") {
			written = "[" + host + "]"
		}
		u, err := url.Parse("https://" + written + ":443/")
		if err != nil || u.Hostname() != host || u.Port() != "443" {
			t.Errorf("%q is %q to us, to net/url %v, %v", in, host, u, err)
		}
		addr, err := netip.ParseAddr(host)
		if err == nil && (addr.String() != host || addr.Zone() != "" || addr.Is4In6()) {
			t.Errorf("%q is the address %q in another form", in, host)
		}
		if err != nil && (endsInNumber(host) || strings.ContainsAny(host, " \x00%@/\\:[]_")) {
			t.Errorf("%q is the name %q, which others may read as more", in, host)
		}
	})
}
