package dial

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

func TestRoutes(t *testing.T) {
	web := Settings{HTTP: "http://plain:3128", HTTPS: "http://secure:3128", No: "direct.example,10.0.0.0/8"}
	all := Settings{All: "socks5://socks:1080", No: "direct.example"}
	both := Settings{HTTPS: "secure:3128", All: "socks5h://me:secret@socks"}
	for _, c := range []struct {
		settings Settings
		network  string
		host     string
		port     uint16
		want     string // "error" is one
	}{
		{Settings{}, "tcp", "a.example", 443, ""},
		{web, "tcp", "a.example", 443, "http://secure:3128"},
		{web, "tcp", "a.example", 80, "http://plain:3128"},
		{web, "tcp", "a.example", 22, ""},
		{web, "udp", "a.example", 443, ""},
		{web, "tcp", "direct.example", 443, ""},
		{web, "tcp", "www.direct.example", 443, ""},
		{web, "tcp", "10.1.2.3", 443, ""},
		{web, "tcp", "127.0.0.1", 443, ""},
		{web, "tcp", "::1", 443, ""},
		{all, "tcp", "a.example", 443, "socks5://socks:1080"},
		{all, "tcp", "a.example", 22, "socks5://socks:1080"},
		{all, "tcp", "2a00::1", 22, "socks5://socks:1080"},
		{all, "tcp", "direct.example", 22, ""},
		{all, "udp", "a.example", 53, "error"},
		{all, "udp", "direct.example", 53, ""},
		{both, "tcp", "a.example", 443, "http://secure:3128"},
		{both, "tcp", "a.example", 80, "socks5h://socks"},
		{Settings{HTTPS: "https://tls:3128"}, "tcp", "a.example", 443, "error"},
		{Settings{All: "socks4://old:1080"}, "tcp", "a.example", 443, "error"},
		{Settings{HTTPS: "http://"}, "tcp", "a.example", 443, "error"},
		{Settings{HTTPS: "http://a b"}, "tcp", "a.example", 443, "error"},
		{Settings{All: "http://a:port"}, "tcp", "a.example", 443, "error"},
		{Settings{HTTPS: "http://a b"}, "tcp", "a.example", 80, ""},
	} {
		route, err := New(Config{Proxies: c.settings}).Route(Target{c.network, c.host, c.port})
		got := route.Via()
		if err != nil {
			got = "error"
		}
		if got != c.want {
			t.Errorf("%+v: %s/%s:%d goes by %q, %v; want %q", c.settings, c.network, c.host, c.port, got, err, c.want)
		}
	}
}

func TestAnAddressIsRoutedAnew(t *testing.T) {
	d := New(Config{Proxies: Settings{All: "socks5://socks:1080", No: "10.0.0.0/8"}})
	target := Target{"tcp", "a.example", 443}
	route, err := d.Route(target)
	if err != nil || !route.Proxied() {
		t.Fatal(route, err)
	}
	for addr, proxied := range map[string]bool{
		"192.168.1.1": true, "10.1.1.1": false, "127.0.0.1": false, "::1": false, "169.254.1.1": false, "fe80::1": false,
	} {
		got, err := d.At(route, target, netip.MustParseAddr(addr))
		if err != nil || got.Proxied() != proxied {
			t.Errorf("%s: through the proxy %t, %v; want %t", addr, got.Proxied(), err, proxied)
		}
	}
	if got, err := d.At(Route{}, target, netip.MustParseAddr("192.168.1.1")); err != nil || got.Proxied() {
		t.Errorf("a name of NO_PROXY goes through the proxy by its address: %v", err)
	}
}

func TestEnvironment(t *testing.T) {
	env := map[string]string{"http_proxy": "a", "HTTPS_PROXY": "b", "https_proxy": "c", "ALL_PROXY": "d", "no_proxy": "e"}
	want := Settings{HTTP: "a", HTTPS: "b", All: "d", No: "e"}
	if got := FromEnvironment(func(key string) string { return env[key] }); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLocalNamesAreNotLeftToAProxy(t *testing.T) {
	for host, local := range map[string]bool{
		"printer": true, "metadata": true, "nas.local": true, "metadata.google.internal": true, "router.lan": true,
		"a.home.arpa": true, "x.localhost": true, "wiki.corp": true,
		"example.com": false, "internal.example.com": false, "local.example": false, "abcdefgh.onion": false,
	} {
		err := checkRemoteName(host)
		if errors.Is(err, sandbox.ErrDenied) != local {
			t.Errorf("%s: %v, want it refused: %t", host, err, local)
		}
	}
}
