package portal

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	for _, c := range []struct {
		name  string
		rules []Rule
		deny  []string // targets that are not allowed now
		want  string
	}{
		{"nothing", nil, nil, ""},
		{"a site", []Rule{{"tcp/a.example:443", true}}, nil, "https://a.example wss://a.example"},
		{"a port", []Rule{{"tcp/a.example:8080", true}}, nil, "http://a.example:8080 ws://a.example:8080"},
		{"any protocol", []Rule{{"any/a.example:443", true}}, nil, "https://a.example wss://a.example"},
		{"below", []Rule{{"tcp/*.a.example:443", true}}, nil, "https://*.a.example wss://*.a.example"},
		{"every port", []Rule{{"any/a.example:*", true}}, nil, "http://a.example:* ws://a.example:*"},
		{"everything", []Rule{{"any/*:*", true}}, nil, "http: ws:"},
		{"twice", []Rule{{"tcp/a.example:443", true}, {"any/a.example:443", true}}, nil, "https://a.example wss://a.example"},
		{"UDP", []Rule{{"udp/a.example:443", true}}, nil, ""},
		{"an address", []Rule{{"tcp/9.9.9.9:443", true}, {"tcp/[2a00::1]:443", true}, {"any/10.0.0.0/8:443", true}}, nil, ""},
		{"a range", []Rule{{"tcp/a.example:8000-8099", true}}, nil, ""},
		{"denied", []Rule{{"tcp/a.example:443", false}}, nil, ""},
		{"denied by another", []Rule{{"tcp/a.example:443", true}}, []string{"tcp/a.example:443"}, ""},
		{"denied below", []Rule{{"tcp/*.a.example:443", true}, {"tcp/x.a.example:80", false}}, nil, ""},
		{"denied elsewhere", []Rule{{"tcp/*.a.example:443", true}, {"tcp/x.b.example:443", false}}, nil, "https://*.a.example wss://*.a.example"},
		{"every name but", []Rule{{"any/*:*", true}, {"tcp/x.b.example:443", false}}, nil, ""},
		{"every port but", []Rule{{"any/a.example:*", true}, {"any/a.example:25", false}}, nil, ""},
		{"no words of the policy", []Rule{{"tcp/a.example; script-src *:443", true}, {"tcp/'none':443", true}, {"tcp/a b:443", true}}, nil, ""},
	} {
		got := Sources(c.rules, func(target string) bool { return !slices.Contains(c.deny, target) })
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
	many := make([]Rule, 2*maxSources)
	for i := range many {
		many[i] = Rule{"tcp/h" + strings.Repeat("x", i%60) + string(rune('a'+i/60)) + ".example:443", true}
	}
	if got := Sources(many, func(string) bool { return true }); len(got) != maxSources {
		t.Errorf("%d sources, want them bounded at %d", len(got), maxSources)
	}
}

func TestPolicyOfAnAnswer(t *testing.T) {
	p := Port{Host: 8080, Name: "web", Sources: []string{"https://a.example"}}
	h := http.Header{
		policyHeader: {"default-src 'self'; report-uri https://evil.example/r; Report-To x , img-src *;report-to y"},
		reportHeader: {"default-src 'none'; report-uri https://evil.example"},
		"Report-To":  {"{}"}, "Reporting-Endpoints": {"x"}, "Nel": {"{}"},
		connectionHeader: {`("*://*:*")`}, connectionReportHeader: {"(response-origin); report-to=x"},
	}
	guardAnswer(p, h, "web.localhost:8080", true)
	whole := strings.Join(h[policyHeader], "\n")
	if strings.Contains(whole, "evil") || strings.Contains(strings.ToLower(whole), "report") {
		t.Errorf("the app's reports go out: %s", whole)
	}
	for _, name := range reportingHeaders {
		if h.Get(name) != "" {
			t.Errorf("%s is left: %s", name, h.Get(name))
		}
	}
	for _, want := range []string{"default-src 'self'", "img-src *", "form-action 'self' https://a.example", "ws://web.localhost:8080"} {
		if !strings.Contains(whole, want) {
			t.Errorf("no %q in %s", want, whole)
		}
	}
	if got := h[connectionHeader]; len(got) != 1 || got[0] != connectionsOf(p) {
		t.Errorf("the page may connect to %q", got)
	}
	if h.Get("Cache-Control") != "no-store" {
		t.Error("a page may be stored with the policy of today")
	}
	off := http.Header{}
	guardAnswer(Port{Policy: Off}, off, "localhost", true)
	if len(off) != 0 {
		t.Errorf("off adds %v", off)
	}
	report := http.Header{}
	guardAnswer(Port{Policy: Report}, report, "localhost", true)
	if report.Get(reportHeader) == "" || report.Get(policyHeader) != "" {
		t.Errorf("report adds %v", report)
	}
}

func TestAdmit(t *testing.T) {
	p := Port{Host: 8080, App: 80, Name: "web"}
	own := map[string]string{}
	cross := map[string]string{"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
	upgrade := func(h map[string]string) map[string]string {
		with := map[string]string{"Upgrade": "websocket", "Connection": "Upgrade"}
		for k, v := range h {
			with[k] = v
		}
		return with
	}
	for _, c := range []struct {
		method, host string
		header       map[string]string
		want         int
	}{
		{"GET", "localhost:8080", own, 0},
		{"GET", "LOCALHOST:8080", own, 0},
		{"GET", "127.0.0.1:8080", own, 0},
		{"GET", "[::1]:8080", own, 0},
		{"GET", "web.localhost:8080", own, 0},
		{"GET", "localhost", own, 421},
		{"GET", "localhost:8081", own, 421},
		{"GET", "other.localhost:8080", own, 421},
		{"GET", "evil.example:8080", own, 421},
		{"GET", "evil.example", own, 421},
		{"GET", "192.168.1.2:8080", own, 421},
		{"GET", "", own, 421},
		{"CONNECT", "localhost:8080", own, 405},
		{"POST", "localhost:8080", own, 0}, // curl
		{"POST", "localhost:8080", map[string]string{"Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-origin"}, 0},
		{"POST", "web.localhost:8080", map[string]string{"Origin": "http://localhost:8080", "Sec-Fetch-Site": "cross-site"}, 0},
		{"POST", "localhost:8080", map[string]string{"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 0},
		{"POST", "localhost:8080", map[string]string{"Origin": "null"}, 403},
		{"POST", "localhost:8080", map[string]string{"Origin": "http://localhost:9090", "Sec-Fetch-Site": "same-site"}, 403},
		{"POST", "localhost:8080", map[string]string{"Origin": "https://evil.example"}, 403},
		{"POST", "localhost:8080", cross, 403},
		{"DELETE", "localhost:8080", cross, 403},
		{"FOO", "localhost:8080", cross, 403},
		{"GET", "localhost:8080", cross, 0}, // what it reads, the browser keeps from the site
		{"GET", "localhost:8080", upgrade(cross), 403},
		{"GET", "localhost:8080", upgrade(map[string]string{"Origin": "https://evil.example"}), 403},
		{"GET", "localhost:8080", upgrade(map[string]string{"Origin": "null"}), 403},
		{"GET", "localhost:8080", upgrade(map[string]string{"Origin": "http://localhost:8080"}), 0},
		{"GET", "localhost:8080", upgrade(map[string]string{"Origin": "http://web.localhost:8080"}), 0},
		{"GET", "localhost:8080", upgrade(own), 0}, // not a browser
		{"GET", "localhost:8080", map[string]string{"Service-Worker": "script"}, 403},
	} {
		r, err := http.NewRequestWithContext(t.Context(), c.method, "http://x/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		for k, v := range c.header {
			r.Header.Set(k, v)
		}
		got := 0
		if no := admit(p, p.protection(), r); no != nil {
			got = no.status
		}
		if got != c.want {
			t.Errorf("%s at %q with %v: %d, want %d", c.method, c.host, c.header, got, c.want)
		}
	}
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		port Port
		url  string
		bare bool
	}{
		{Port{Host: 8080, Name: "web"}, "http://web.localhost:8080/", false},
		{Port{Host: 80, Name: "web"}, "http://web.localhost/", true},
		{Port{Host: 8080}, "http://localhost:8080/", false},
	} {
		if got := c.port.URL(); got != c.url {
			t.Errorf("got %s, want %s", got, c.url)
		}
		if got := slices.Contains(c.port.names(), "localhost"); got != c.bare {
			t.Errorf("%+v answers without a port: %t", c.port, got)
		}
	}
}
