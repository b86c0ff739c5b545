package portal

import (
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// A Content-Security-Policy is about what is loaded. What a page makes a browser
// do besides is limited by the list of where it may connect to at all
// (https://wicg.github.io/connection-allowlists/, Chromium 152): names looked up
// and connections opened ahead of a request, navigation, WebRTC. A browser that
// does not know the header passes over it.
const (
	connectionHeader       = "Connection-Allowlist"
	connectionReportHeader = "Connection-Allowlist-Report-Only"
)

// connectionsOf is the list for an answer of the port. Redirects are allowed, as
// an app's own would break without, and are looked at here: see checkRedirect.
func connectionsOf(p Port) string {
	list := []string{"response-origin"}
	add := func(pattern string) { list = append(list, `"`+pattern+`"`) }
	for _, name := range p.names() {
		if !strings.HasPrefix(name, "[") { // which patterns have a meaning for
			add("http://" + name)
		}
	}
	for _, text := range p.Sources {
		for _, pattern := range parseSource(text).patterns() {
			add(pattern)
		}
	}
	return "(" + strings.Join(list, " ") + "); redirects=allow"
}

// source is one of Port.Sources, taken apart. A source of WebSockets is the zero
// value, which covers nothing: each stands beside one of HTTP.
type source struct{ scheme, host, port string }

func parseSource(text string) source {
	if text == "http:" {
		return source{"http", "*", "*"}
	}
	scheme, rest, _ := strings.Cut(text, "://")
	host, port, _ := strings.Cut(rest, ":")
	switch scheme {
	case "https":
		return source{scheme, host, "443"}
	case "http":
		return source{scheme, host, port}
	}
	return source{}
}

// patterns are the source as URL patterns, which know no upgrade of http to
// https and want default ports left out.
func (s source) patterns() []string {
	switch {
	case s.scheme == "":
		return nil
	case s.scheme == "https":
		return []string{"https://" + s.host}
	case s.port == "80":
		return []string{"http://" + s.host, "https://" + s.host}
	}
	return []string{"http://" + s.host + ":" + s.port, "https://" + s.host + ":" + s.port}
}

// covers says whether the source is one of u, as a policy would find.
func (s source) covers(u *url.URL) bool {
	host, port := strings.ToLower(u.Hostname()), portOf(u)
	suffix, wild := strings.CutPrefix(s.host, "*")
	named := host == s.host || wild && strings.HasSuffix(host, suffix)
	upgraded := s.scheme == "http" && u.Scheme == "https"
	numbered := port == s.port || s.port == "*" || upgraded && s.port == "80" && port == "443"
	return named && numbered && (u.Scheme == s.scheme || upgraded)
}

func portOf(u *url.URL) string {
	return cmp.Or(u.Port(), map[string]string{"http": "80", "https": "443"}[u.Scheme])
}

// checkRedirect looks at where an answer to a request for path at host sends the
// browser on: no policy is about a redirect of the page itself. It writes the
// address out, so that nobody reads it in another way.
func checkRedirect(p Port, resp *http.Response, host string, path *url.URL) *refusal {
	location := resp.Header.Get("Location")
	if p.Policy != Enforce || location == "" || resp.StatusCode/100 != 3 { //nolint:mnd // the class of redirects
		return nil
	}
	to, err := (&url.URL{Scheme: "http", Host: host, Path: path.Path}).Parse(location)
	if err != nil {
		return &refusal{http.StatusForbidden, "the app sends you on to an address that nobody can read"}
	}
	home := to.Scheme == "http" && slices.Contains(p.names(), strings.ToLower(to.Host))
	granted := slices.ContainsFunc(p.Sources, func(text string) bool { return parseSource(text).covers(to) })
	if !home && !granted {
		return &refusal{http.StatusForbidden, fmt.Sprintf(
			"the app sends you on to %s://%s, which it may not connect to; to let it: consentry allow APP net.connect tcp/%s",
			to.Scheme, to.Host, net.JoinHostPort(to.Hostname(), portOf(to)))}
	}
	resp.Header.Set("Location", to.String())
	return nil
}
