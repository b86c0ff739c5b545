package dial

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/consentry/consentry/sandbox"
)

// Settings are the user's upstream proxies, as the environment writes them.
type Settings struct {
	HTTP  string // HTTP_PROXY: for port 80
	HTTPS string // HTTPS_PROXY: for port 443
	All   string // ALL_PROXY: for both where they have none, and for every other port
	No    string // NO_PROXY: hosts that are reached directly
}

// FromEnvironment reads the usual variables, in capitals and not.
func FromEnvironment(getenv func(string) string) Settings {
	either := func(upper, lower string) string {
		if value := getenv(upper); value != "" {
			return value
		}
		return getenv(lower)
	}
	return Settings{
		HTTP: either("HTTP_PROXY", "http_proxy"), HTTPS: either("HTTPS_PROXY", "https_proxy"),
		All: either("ALL_PROXY", "all_proxy"), No: either("NO_PROXY", "no_proxy"),
	}
}

// Ways of a proxy to be spoken to.
const (
	schemeHTTP    = "http"
	schemeSOCKS5  = "socks5"  // names are resolved here
	schemeSOCKS5H = "socks5h" // names are resolved by the proxy
)

// proxies chooses a proxy for a target.
type proxies struct {
	web choice // HTTP_PROXY and HTTPS_PROXY
	all choice // ALL_PROXY
}

// choice returns the proxy for a URL, or none.
type choice func(*url.URL) (*url.URL, error)

func newProxies(s Settings) *proxies {
	return &proxies{web: newChoice(s.HTTP, s.HTTPS, s.No), all: newChoice(s.All, s.All, s.No)}
}

// newChoice uses the rules of httpproxy, which takes a setting it cannot read
// for none or for another, and would let flows out past the user's proxy; here
// such a setting is an error.
func newChoice(forHTTP, forHTTPS, no string) choice {
	config := httpproxy.Config{HTTPProxy: forHTTP, HTTPSProxy: forHTTPS, NoProxy: no}
	choose := config.ProxyFunc()
	wrong := map[string]bool{"http": !readable(forHTTP), "https": !readable(forHTTPS)}
	return func(to *url.URL) (*url.URL, error) {
		if wrong[to.Scheme] {
			return nil, errUnreadable
		}
		return choose(to)
	}
}

// readable says whether text is empty, or URL or HOST:PORT of a proxy.
func readable(text string) bool {
	if text == "" {
		return true
	}
	if !strings.Contains(text, "://") {
		text = "http://" + text
	}
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != ""
}

var errUnreadable = errors.New("the proxy that the agent's environment names is not a URL; correct HTTPS_PROXY, HTTP_PROXY or ALL_PROXY and restart the agent")

// Route is the way to a target; the zero value is the direct one.
type Route struct{ proxy *url.URL }

// Proxied says whether the route goes through a proxy.
func (r Route) Proxied() bool { return r.proxy != nil }

// Via names the proxy for people, without its password; "" is none.
func (r Route) Via() string {
	if r.proxy == nil {
		return ""
	}
	return r.proxy.Scheme + "://" + r.proxy.Host
}

func (r Route) remoteNames() bool { return r.proxy != nil && r.proxy.Scheme == schemeSOCKS5H }

var errNoUDP = errors.New("UDP cannot go through ALL_PROXY; name the host in NO_PROXY to reach it directly")

// Route finds the way to t by its name, as the user's settings say.
func (d *Dialler) Route(t Target) (Route, error) {
	proxy, err := d.proxies.choose(t)
	if err != nil || proxy == nil {
		return Route{}, err
	}
	if t.Network != "tcp" {
		return Route{}, fmt.Errorf("%s: %w", t.hostPort(), errNoUDP)
	}
	switch proxy.Scheme {
	case schemeHTTP, schemeSOCKS5, schemeSOCKS5H:
		return Route{proxy: proxy}, nil
	}
	return Route{}, fmt.Errorf("proxy %s://%s: only http, socks5 and socks5h proxies can be used", proxy.Scheme, proxy.Host)
}

// At finds the way to the address that a name of route was judged to have. A
// loopback or link-local address would be another one seen from the proxy, so
// it is reached directly; so is an address that NO_PROXY names.
func (d *Dialler) At(route Route, t Target, addr netip.Addr) (Route, error) {
	class := sandbox.AddressClass(addr)
	if !route.Proxied() || class == sandbox.AddressLoopback || class == sandbox.AddressLinkLocal {
		return Route{}, nil
	}
	return d.Route(Target{Network: t.Network, Host: addr.String(), Port: t.Port})
}

// choose goes by the port, as a flow has no scheme. UDP knows only ALL_PROXY.
func (p *proxies) choose(t Target) (*url.URL, error) {
	scheme := "https"
	if t.Port == portHTTP {
		scheme = "http"
	}
	to := &url.URL{Scheme: scheme, Host: t.hostPort()}
	if t.Network == "tcp" && (t.Port == portHTTP || t.Port == portHTTPS) {
		if proxy, err := p.web(to); proxy != nil || err != nil {
			return proxy, err
		}
	}
	return p.all(to)
}

const (
	portHTTP  = 80
	portHTTPS = 443
)

// proxyTarget is where the proxy itself is.
func (r Route) proxyTarget() (Target, error) {
	text := r.proxy.Port()
	if text == "" {
		text = map[string]string{schemeHTTP: "80"}[r.proxy.Scheme]
	}
	if text == "" {
		text = "1080"
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return Target{}, fmt.Errorf("proxy %s: %q is not a port", r.Via(), text)
	}
	host := r.proxy.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil {
		host = addr.Unmap().String()
	}
	return Target{Network: "tcp", Host: host, Port: uint16(port)}, nil
}
