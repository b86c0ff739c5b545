package portal

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestConnectionsOfAPage(t *testing.T) {
	for _, c := range []struct{ sources, want string }{
		{"", ""},
		{"https://a.example wss://a.example", ` "https://a.example"`},
		{"http://a.example:8080 ws://a.example:8080", ` "http://a.example:8080" "https://a.example:8080"`},
		{"http://a.example:80 ws://a.example:80", ` "http://a.example" "https://a.example"`},
		{"http://a.example:* ws://a.example:*", ` "http://a.example:*" "https://a.example:*"`},
		{"https://*.a.example", ` "https://*.a.example"`},
		{"https://*:443 wss://*:443", ` "https://*"`},
		{"http: ws:", ` "http://*:*" "https://*:*"`},
	} {
		p := Port{Host: 8080, Name: "web", Sources: strings.Fields(c.sources)}
		want := `(response-origin "http://localhost:8080" "http://127.0.0.1:8080" "http://web.localhost:8080"` + c.want + `); redirects=allow`
		if got := connectionsOf(p); got != want {
			t.Errorf("%s: got %s, want %s", c.sources, got, want)
		}
	}
}

// TestRedirects: a browser asks nobody before it follows one.
func TestRedirects(t *testing.T) {
	for _, c := range []struct{ sources, location, want string }{
		{"", "/next?a=1#b", "http://web.localhost:8080/next?a=1#b"},
		{"", "next", "http://web.localhost:8080/at/next"},
		{"", "", ""}, // as of 304
		{"", "http://LOCALHOST:8080/", "http://LOCALHOST:8080/"},
		{"", "http://[::1]:8080/", "http://[::1]:8080/"},
		{"", "http://localhost:9090/", "refused"},
		{"", "http://localhost/", "refused"},
		{"", "https://web.localhost:8080/", "refused"},
		{"", "https://a.example/", "refused"},
		{"", "//a.example/", "refused"},
		// What a browser reads as another host stays a path of this one.
		{"", `/\a.example/`, "http://web.localhost:8080/%5Ca.example/"},
		{"", `\\a.example/`, "http://web.localhost:8080/at/%5C%5Ca.example/"},
		{"", "///a.example/", "http://web.localhost:8080///a.example/"},
		{"", "http:a.example", "refused"},
		{"", "http:///a.example", "refused"},
		{"", "http://web.localhost:8080@a.example/", "refused"},
		{"", `http://a.example\@web.localhost:8080/`, "refused"},
		{"", "javascript:alert(1)", "refused"},
		{"", "data:text/html,x", "refused"},
		{"", "http://a.example:x/", "refused"},
		{"https://a.example wss://a.example", "https://A.example/x", "https://A.example/x"},
		{"https://a.example", "https://a.example:443/", "https://a.example:443/"},
		{"https://a.example", "http://a.example/", "refused"},
		{"https://a.example", "https://a.example:444/", "refused"},
		{"https://a.example", "https://b.a.example/", "refused"},
		{"https://a.example", "https://a.example@b.example/", "refused"},
		{"wss://a.example", "https://a.example/", "refused"},
		{"http://a.example:8080", "http://a.example:8080/", "http://a.example:8080/"},
		{"http://a.example:8080", "https://a.example:8080/", "https://a.example:8080/"},
		{"http://a.example:8080", "https://a.example/", "refused"},
		{"http://a.example:80", "http://a.example/", "http://a.example/"},
		{"http://a.example:80", "https://a.example/", "https://a.example/"},
		{"http://a.example:*", "https://a.example:1/", "https://a.example:1/"},
		{"https://*.a.example", "https://b.a.example/", "https://b.a.example/"},
		{"https://*.a.example", "https://a.example/", "refused"},
		{"https://*.a.example", "https://ba.example/", "refused"},
		{"https://*:443", "https://any.example/", "https://any.example/"},
		{"http: ws:", "http://any.example:81/", "http://any.example:81/"},
		{"http: ws:", "ftp://any.example/", "refused"},
	} {
		p := Port{Host: 8080, Name: "web", Sources: strings.Fields(c.sources)}
		resp := &http.Response{StatusCode: http.StatusFound, Header: http.Header{}}
		if c.location != "" {
			resp.Header.Set("Location", c.location)
		}
		no := checkRedirect(p, resp, "web.localhost:8080", &url.URL{Scheme: "http", Host: "app", Path: "/at/here"})
		got := resp.Header.Get("Location")
		if no != nil {
			got = "refused"
		}
		if got != c.want {
			t.Errorf("to %s with %q: %s, want %s", c.location, c.sources, got, c.want)
		}
		off := &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {c.location}}}
		if no := checkRedirect(Port{Policy: Off}, off, "localhost", &url.URL{}); no != nil || off.Header.Get("Location") != c.location {
			t.Errorf("without a policy %s is %s, %v", c.location, off.Header.Get("Location"), no)
		}
	}
}

// FuzzRedirect: what is passed on leads to the app itself, in a form that has one
// meaning.
func FuzzRedirect(f *testing.F) {
	for _, location := range []string{"/next?a=1#b", `/\a.example/`, "//a.example", "http://localhost:8080/", "http://[::1]:8080/", "http:a", "../x", "?y", "http://LOCALHOST:8080"} {
		f.Add(location)
	}
	p := Port{Host: 8080, Name: "web"}
	f.Fuzz(func(t *testing.T, location string) {
		resp := &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {location}}}
		if checkRedirect(p, resp, "web.localhost:8080", &url.URL{Path: "/at/here"}) != nil || location == "" {
			return
		}
		rest, ok := strings.CutPrefix(resp.Header.Get("Location"), "http://")
		host, after, _ := strings.Cut(rest, "/")
		if host, _, _ = strings.Cut(host, "?"); strings.Contains(host, "#") {
			host, _, _ = strings.Cut(host, "#")
		}
		if !ok || !slices.Contains(p.names(), strings.ToLower(host)) || strings.ContainsAny(strings.SplitN(after, "?", 2)[0], "\\\t\r\n ") {
			t.Errorf("%q is passed on as %q", location, resp.Header.Get("Location"))
		}
	})
}
