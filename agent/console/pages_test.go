//go:build unix

package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// press sends a form of the console, and returns the page that it leads to.
func (v *visitor) press(path string, values ...string) string {
	v.t.Helper()
	form := url.Values{"form": {v.form}}
	for i := 0; i < len(values); i += 2 {
		form.Add(values[i], values[i+1])
	}
	resp, text := v.do(request{method: http.MethodPost, path: path, origin: "http://" + v.url.Host, site: "same-origin", values: form})
	if resp.StatusCode != http.StatusSeeOther {
		v.t.Fatalf("POST %s: %s\n%s", path, resp.Status, text)
	}
	at, err := resp.Location()
	if err != nil {
		v.t.Fatal(err)
	}
	_, page := v.do(request{path: strings.TrimPrefix(at.RequestURI(), v.url.Path)})
	return page
}

func (w *world) inside() *visitor {
	w.t.Helper()
	way := w.way(api.ConsoleRequest{})
	v := w.visitor(way)
	if got := v.enter(tokenIn(w.t, way.File)); got != "" {
		w.t.Fatal(got)
	}
	return v
}

var reviewLink = regexp.MustCompile(`review\?id=([a-z0-9]+)`)

// A manifest is answered line by line before the app starts.
func TestAManifestInTheConsole(t *testing.T) {
	w := newWorld(t, 0)
	v := w.inside()
	started := make(chan struct{})
	go w.startWith("manifest", `{"version":1,"name":"says <i>manifest</i>","rights":[
		{"kind":"net.connect","target":"tcp/a.test:443","reason":"for <b>this</b>","without":"nothing works"},
		{"kind":"net.connect","target":"tcp/b.test:443","reason":"for that"}]}`, func(sandbox.Broker) { close(started) })
	var id string
	until(t, "a manifest waits", func() bool {
		_, page := v.do(request{})
		if m := reviewLink.FindStringSubmatch(page); m != nil {
			id = m[1]
		}
		return id != ""
	})
	review, err := w.client.Review(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	answer := []string{"id", id, "nonce", review.Nonce, "verdict", "deny", "line-1", "allow", "lifetime", "always"}
	if page := v.press("review", answer...); !strings.Contains(page, "first second") {
		t.Error("it was answered before it was seen")
	}
	_, page := v.do(request{path: "review?id=" + id})
	for _, want := range []string{"a.test, port 443", "for &lt;b&gt;this&lt;/b&gt;", "nothing works", "says &lt;i&gt;manifest&lt;/i&gt;", "nobody vouches"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page of the manifest lacks %q", want)
		}
	}
	w.clock.Add(int64(time.Second))
	if page := v.press("review", answer...); !strings.Contains(page, "Answered.") {
		t.Errorf("it was not answered:\n%s", page)
	}
	select {
	case <-started:
	case <-time.After(20 * time.Second):
		t.Fatal("the app does not start")
	}
	grants, err := w.client.Grants(t.Context(), "")
	got := map[string]string{}
	for _, g := range grants {
		got[g.Target] = g.Verdict
	}
	if err != nil || got["tcp/a.test:443"] != "allow" || got["tcp/b.test:443"] != "deny" {
		t.Errorf("%v %v", got, err)
	}
}

// An app is stopped, started, muted and robbed of all its rights from its page.
func TestThePageOfAnApp(t *testing.T) {
	w := newWorld(t, 0)
	v := w.inside()
	w.start("clock", func(sandbox.Broker) { <-t.Context().Done() })
	runs, err := w.client.Runs(t.Context(), true)
	if err != nil || len(runs) != 1 {
		t.Fatal(runs, err)
	}
	app, run := runs[0].AppID, runs[0].ID
	if _, err := w.client.AddGrant(t.Context(), api.Grant{App: "clock", Kind: "net.connect", Target: "tcp/time.test:123", Verdict: "allow", Lifetime: "always", By: "cli"}); err != nil {
		t.Fatal(err)
	}
	back := []string{"back", "app?ref=" + url.QueryEscape(app)}
	state := func() api.State {
		d, err := w.client.Inspect(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		return d.State
	}
	if page := v.press("stop", append(back, "run", run)...); !strings.Contains(page, "It was stopped.") || state() != api.Exited {
		t.Errorf("%s after a stop:\n%s", state(), page)
	}
	if page := v.press("start", append(back, "run", run)...); !strings.Contains(page, "It runs.") || state() != api.Running {
		t.Errorf("%s after a start:\n%s", state(), page)
	}
	if page := v.press("mute", append(back, "app", app)...); !strings.Contains(page, "Ask again") {
		t.Errorf("muted:\n%s", page)
	}
	if page := v.press("mute", append(back, "app", app, "undo", "1")...); !strings.Contains(page, "Stop asking") {
		t.Errorf("not muted:\n%s", page)
	}
	if page := v.press("revoke", append(back, "id", "app:"+app)...); !strings.Contains(page, "Taken back: 1 rule") {
		t.Errorf("taken back:\n%s", page)
	}
	if grants, err := w.client.Grants(t.Context(), ""); err != nil || len(grants) != 0 {
		t.Errorf("left: %v %v", grants, err)
	}
	if page := v.press("revoke", append(back, "id", "nothing")...); !strings.Contains(page, `class="note bad"`) || !strings.Contains(page, "clock") {
		t.Errorf("what cannot be done is not said on the page it was asked on:\n%s", page)
	}
	if page := v.press("mute", "back", "//evil.test/", "app", app, "undo", "1"); !strings.Contains(page, "What apps ask for") {
		t.Errorf("a form leads elsewhere:\n%s", page)
	}
}
