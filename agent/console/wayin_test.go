//go:build unix

package console_test

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
)

var hiddenValue = regexp.MustCompile(`name="(token|form)" value="([^"]+)"`)

// visitor is a program that speaks HTTP as it likes.
type visitor struct {
	t      testing.TB
	url    *url.URL // of the console
	cookie *http.Cookie
	form   string
}

type request struct {
	method, path string
	host         string // "": the right one
	origin, site string
	values       url.Values
	bare         bool // without the cookie
}

func (v *visitor) do(r request) (*http.Response, string) {
	v.t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	var body io.Reader
	if r.values != nil {
		body = strings.NewReader(r.values.Encode())
	}
	req, err := http.NewRequestWithContext(v.t.Context(), r.method, v.url.String()+r.path, body)
	if err != nil {
		v.t.Fatal(err)
	}
	if r.values != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if r.host != "" {
		req.Host = r.host
	}
	for name, value := range map[string]string{"Origin": r.origin, "Sec-Fetch-Site": r.site} {
		if value != "" {
			req.Header.Set(name, value)
		}
	}
	if v.cookie != nil && !r.bare {
		req.AddCookie(v.cookie)
	}
	client := &http.Client{
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		v.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, _ := io.ReadAll(resp.Body)
	return resp, string(raw)
}

// enter uses a token; "" is a way in that worked.
func (v *visitor) enter(token string) string {
	v.t.Helper()
	resp, text := v.do(request{method: http.MethodPost, path: "enter", origin: "null", values: url.Values{"token": {token}}})
	if resp.StatusCode != http.StatusOK {
		return resp.Status
	}
	for _, cookie := range resp.Cookies() {
		v.cookie = cookie
	}
	if v.cookie == nil || !v.cookie.HttpOnly || v.cookie.SameSite != http.SameSiteStrictMode || v.cookie.Path != v.url.Path || v.cookie.Domain != "" {
		v.t.Errorf("the cookie is %v", v.cookie)
	}
	if !strings.Contains(text, "http-equiv=\"refresh\"") {
		v.t.Errorf("the way in leads nowhere: %s", text)
	}
	_, page := v.do(request{path: "system"})
	if m := hiddenValue.FindStringSubmatch(page); m != nil {
		v.form = m[2]
	}
	return ""
}

func (w *world) visitor(way api.Console) *visitor {
	w.t.Helper()
	at, err := url.Parse(way.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	return &visitor{t: w.t, url: at}
}

// tokenIn reads the file of a way in.
func tokenIn(t testing.TB, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	m := hiddenValue.FindStringSubmatch(string(raw))
	if m == nil {
		t.Fatalf("no token in %s", raw)
	}
	return m[2]
}

func TestAWayInWorksOnce(t *testing.T) {
	w := newWorld(t, 0)
	way := w.way(api.ConsoleRequest{})
	info, err := os.Stat(way.File)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("the file is %v, %v", info.Mode(), err)
	}
	token := tokenIn(t, way.File)
	if strings.Contains(way.URL, token) {
		t.Error("the token stands in the address")
	}
	v := w.visitor(way)
	if got := v.enter(token); got != "" {
		t.Fatal(got)
	}
	if _, err := os.Stat(way.File); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
	if got := w.visitor(way).enter(token); !strings.HasPrefix(got, "401") {
		t.Errorf("a second time: %q", got)
	}
	if resp, _ := v.do(request{}); resp.StatusCode != http.StatusOK {
		t.Errorf("who came in sees %s", resp.Status)
	}
	t.Run("late", func(t *testing.T) {
		late := w.way(api.ConsoleRequest{})
		token := tokenIn(t, late.File)
		w.clock.Add(int64(31 * time.Second))
		if got := w.visitor(late).enter(token); !strings.HasPrefix(got, "401") {
			t.Errorf("after 31 seconds: %q", got)
		}
		w.way(api.ConsoleRequest{})
		if _, err := os.Stat(late.File); !os.IsNotExist(err) {
			t.Errorf("its file is still there: %v", err)
		}
	})
	t.Run("a code", func(t *testing.T) {
		way := w.way(api.ConsoleRequest{Code: true})
		if way.File != "" || way.Code == "" {
			t.Fatalf("%+v", way)
		}
		if got := w.visitor(way).enter(strings.ToLower(" " + way.Code + " ")); got != "" {
			t.Error(got)
		}
	})
	t.Run("guessing", func(t *testing.T) {
		way := w.way(api.ConsoleRequest{Code: true})
		for range 20 {
			if got := w.visitor(way).enter("AAAA"); got == "" {
				t.Fatal("a guess came in")
			}
		}
		if got := w.visitor(way).enter(way.Code); !strings.HasPrefix(got, "401") {
			t.Errorf("the code works after 20 guesses: %q", got)
		}
	})
	t.Run("no page", func(t *testing.T) {
		for _, page := range []string{"//evil.test/", "nothing", "app?x=1", "apps?x", "../enter"} {
			if _, err := w.client.Console(t.Context(), api.ConsoleRequest{Page: page}); err == nil {
				t.Errorf("a way in leads to %q", page)
			}
		}
	})
	left, _ := filepath.Glob(filepath.Join(w.home, "run", "console-*.html"))
	if len(left) != 0 { // the guessing took away the one that was not used
		t.Errorf("files left: %v", left)
	}
}

// Probe 59, of the console: another origin, another name, no cookie, no form.
func TestWhoGetsNothing(t *testing.T) {
	w := newWorld(t, 0)
	way := w.way(api.ConsoleRequest{})
	v := w.visitor(way)
	if got := v.enter(tokenIn(t, way.File)); got != "" {
		t.Fatal(got)
	}
	own := "http://" + v.url.Host
	change := func(r request) request {
		r.method, r.path = http.MethodPost, "profile"
		r.values = url.Values{"form": {v.form}, "field-name": {"Mallory"}, "back": {"system"}}
		return r
	}
	for name, r := range map[string]request{
		"no cookie":              {bare: true},
		"no cookie, a page":      {path: "apps", bare: true},
		"no cookie, the news":    {path: "news", bare: true},
		"another name":           {host: "evil.test"},
		"another name, the port": {host: "localhost:" + v.url.Port()},
		"another origin":         {origin: "http://evil.test"},
		"another port":           {origin: "http://127.0.0.1:1", site: "same-site"},
		"another site":           {site: "cross-site"},
		"a sibling":              {site: "same-site"},
		"a file":                 {origin: "null"},
		"PUT":                    {method: http.MethodPut},
		"a change of no page":    change(request{}),
		"a change of a file":     change(request{origin: "null"}),
		"a change of a port":     change(request{origin: "http://127.0.0.1:1"}),
		"a change of a site":     change(request{origin: own, site: "cross-site"}),
		"a change of a name":     change(request{origin: own, host: "evil.test"}),
		"a change of a stranger": change(request{origin: own, bare: true}),
	} {
		resp, text := v.do(r)
		if resp.StatusCode < 400 || strings.Contains(text, "Settings") {
			t.Errorf("%s: %s\n%s", name, resp.Status, text)
		}
		if csp := resp.Header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: the policy is %q", name, csp)
		}
	}
	forged := change(request{origin: own})
	forged.values.Set("form", "x")
	if resp, _ := v.do(forged); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a form of another console: %s", resp.Status)
	}
	if profile, err := w.client.Profile(t.Context()); err != nil || profile["name"] != "" {
		t.Fatalf("one of them changed the profile: %v %v", profile, err)
	}
	// The same request, as a page of ours sends it: the test can fail.
	if resp, _ := v.do(change(request{origin: own, site: "same-origin"})); resp.StatusCode != http.StatusSeeOther {
		t.Fatalf("our own page: %s", resp.Status)
	}
	if profile, err := w.client.Profile(t.Context()); err != nil || profile["name"] != "Mallory" {
		t.Fatalf("our own page changed nothing: %v %v", profile, err)
	}
	if resp, _ := v.do(request{method: http.MethodPost, path: "sign-out", origin: own, values: url.Values{"form": {v.form}}}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("leaving: %s", resp.Status)
	}
	if resp, _ := v.do(request{}); resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("the cookie works after leaving: %s", resp.Status)
	}
}

func TestNobodyListensWhenNobodyLooks(t *testing.T) {
	w := newWorld(t, 300*time.Millisecond)
	way := w.way(api.ConsoleRequest{})
	v := w.visitor(way)
	if got := v.enter(tokenIn(t, way.File)); got != "" {
		t.Fatal(got)
	}
	listens := func() bool {
		conn, err := net.Dial("tcp", v.url.Host)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, v.url.String()+"news", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.AddCookie(v.cookie)
	looking, err := http.DefaultTransport.RoundTrip(req)
	if err != nil || looking.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", looking, err)
	}
	time.Sleep(600 * time.Millisecond)
	if !listens() {
		t.Error("it closed while somebody looked")
	}
	looking.Body.Close()
	until(t, "it closes when nobody looks", func() bool { return !listens() })
	again := w.way(api.ConsoleRequest{})
	if again.URL == way.URL {
		t.Error("the next one has the same address")
	}
	if got := w.visitor(again).enter(tokenIn(t, again.File)); got != "" {
		t.Error(got)
	}
}
