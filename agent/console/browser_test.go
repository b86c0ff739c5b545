//go:build unix

package console_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/internal/browser"
	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// shots is where pictures of the pages are kept, for people; git ignores it.
func shots(t testing.TB) string {
	t.Helper()
	dir := filepath.Join("..", "..", ".cache", "shots")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// shoot takes the page as it is on a phone and on a desk, light and dark.
func shoot(t testing.TB, b *browser.Browser, name string) {
	t.Helper()
	for _, width := range []int{400, 1440} {
		for _, dark := range []bool{false, true} {
			b.Look(width, 900, dark)
			if wide, err := b.Eval("document.documentElement.scrollWidth"); err != nil || wide != fmt.Sprint(width) {
				t.Errorf("%s is %s wide in a window of %d (%v)", name, wide, width, err)
			}
			shade := "light"
			if dark {
				shade = "dark"
			}
			b.Shot(filepath.Join(shots(t), fmt.Sprintf("console-%s-%d-%s.png", name, width, shade)))
		}
	}
	b.Look(1440, 900, false)
}

// A user with a browser: asked, answers, looks, takes back.
func TestInABrowser(t *testing.T) {
	w := newWorld(t, 0)
	b := browser.Start(t, nil)
	b.Look(1440, 900, false)
	way := w.way(api.ConsoleRequest{})
	token := tokenIn(t, way.File)
	quiet := func(where string) {
		t.Helper()
		for _, problem := range b.Problems() {
			t.Errorf("%s: the browser complains: %s", where, problem)
		}
	}
	if problem := b.Go("file://" + way.File); problem != "" {
		t.Fatal(problem)
	}
	b.Has("Nothing is asked for.")
	quiet("the way in")

	answers := make(chan string, 16)
	w.start("weather", w.gets("/", 2, answers))
	t.Run("a question comes by itself", func(t *testing.T) {
		b.Has("Connect to 127.0.0.1")
		b.Has("to show <b>the weather</b>") // as text, not as a page
		b.Until("its answers are dead", `[...document.querySelectorAll("[data-answer]")].length == 7 && [...document.querySelectorAll("[data-answer]")].every(b => b.disabled)`)
		b.Click("[data-answer]", "Allow once")
		b.Eval(`document.querySelector("[data-answer]").focus()`)
		b.Key("Enter")
		list, err := w.client.Requests(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("a click in the first second counted: %v %v", list, err)
		}
		if focus, _ := b.Eval(`document.activeElement.matches("[data-answer]")`); focus == "true" {
			t.Error("an answer has the focus by itself")
		}
	})
	t.Run("allow once", func(t *testing.T) {
		b.Until("its answers live", `[...document.querySelectorAll("[data-answer]")].every(b => !b.disabled)`)
		shoot(t, b, "requests")
		b.Until("its answers live", `[...document.querySelectorAll("[data-answer]")].every(b => !b.disabled)`)
		b.Click("[data-answer]", "Allow once")
		if got := receive(t, "answer", answers); got != "HTTP/1.1 200 OK" {
			t.Fatalf("the app got %q", got)
		}
		b.Has("Allow once: Connect to 127.0.0.1")
	})
	t.Run("deny once", func(t *testing.T) {
		b.Has("to show <b>the weather</b>")
		b.Until("its answers live", `document.querySelector("[data-answer]") && [...document.querySelectorAll("[data-answer]")].every(b => !b.disabled)`)
		b.Click("[data-answer]", "Deny once")
		if got := receive(t, "answer", answers); !strings.Contains(got, "denied") {
			t.Fatalf("the app got %q", got)
		}
	})
	t.Run("allow always, then take it back", func(t *testing.T) {
		w.start("radar", w.gets("/slow", 1, answers))
		b.Has("to show <b>the weather</b>")
		b.Until("its answers live", `document.querySelector("[data-answer]") && [...document.querySelectorAll("[data-answer]")].every(b => !b.disabled)`)
		b.Click("[data-answer]", "Allow always")
		b.Has("Allow always: Connect")
		b.Click("nav a", "Connections")
		b.Has("127.0.0.1 port")
		b.Until("bytes are counted", `/[1-9][0-9.]* k?B/.test(document.querySelector("tbody").innerText)`)
		shoot(t, b, "flows")
		b.Click("nav a", "Apps")
		b.Has("running")
		shoot(t, b, "apps")
		b.Click("td a", "")
		b.Has("What it was given")
		shoot(t, b, "app")
		select {
		case got := <-answers:
			t.Fatalf("the app's connection ended by itself: %s", got)
		default:
		}
		b.Click("td button", "Take back")
		if got := receive(t, "cut", answers); !strings.HasPrefix(got, "cut: ") || got == "cut: <nil>" {
			t.Errorf("the app got %q", got)
		}
		b.Has("Taken back: 1 rule")
	})
	t.Run("looking", func(t *testing.T) {
		b.Click("nav a", "Timeline")
		b.Has("revoke")
		shoot(t, b, "log")
		b.Click("nav a", "Settings")
		b.Has("About you")
		b.Eval(`document.getElementById("field-name").value = "Ada <i>Lovelace"`)
		b.Click("button", "Save")
		b.Has("Saved.")
		b.Click("button", "Prove the ledger")
		b.Has("The ledger is whole")
		shoot(t, b, "system")
		if profile, err := w.client.Profile(t.Context()); err != nil || profile["name"] != "Ada <i>Lovelace" {
			t.Errorf("%v %v", profile, err)
		}
		quiet("looking")
	})
	t.Run("offline", func(t *testing.T) {
		b.Click("nav a", "Settings")
		b.Click("button", "Go offline")
		b.Has("Every app is offline, whatever the rules say.")
		if on, err := w.client.Offline(t.Context()); err != nil || !on {
			t.Fatalf("the agent is offline: %v %v", on, err)
		}
		shoot(t, b, "offline")
		w.start("offline", w.gets("/", 1, answers))
		if got := receive(t, "answer", answers); !strings.Contains(got, "offline") {
			t.Errorf("the app got %q", got)
		}
		b.Click("button", "Go online")
		b.Has("The rules decide")
		if on, err := w.client.Offline(t.Context()); err != nil || on {
			t.Fatalf("the agent is offline: %v %v", on, err)
		}
	})
	t.Run("an app is added", func(t *testing.T) {
		w.app = w.gets("/", 1, answers)
		file := filepath.Join(w.home, "added.wasm")
		if err := os.WriteFile(file, []byte(wasmbin.Header+section("added", "")), 0o600); err != nil {
			t.Fatal(err)
		}
		b.Click("nav a", "Apps")
		b.Click("a", "Add an app")
		b.Has("What it wants it has to ask for.")
		shoot(t, b, "add")
		b.Eval(fmt.Sprintf(`document.querySelector("[name=source]").value = %q`, " "+file+" "))
		b.Click("button", "Add")
		b.Has("It runs.")
		var asked []api.Prompt
		until(t, "it asks", func() bool {
			asked, _ = w.client.Requests(t.Context())
			return len(asked) == 1
		})
		way := w.way(api.ConsoleRequest{Page: "request?id=" + asked[0].ID})
		if problem := b.Go("file://" + way.File); problem != "" {
			t.Fatal(problem)
		}
		b.Has("All questions")
		b.Until("its answers live", `document.querySelector("[data-answer]") && [...document.querySelectorAll("[data-answer]")].every(b => !b.disabled)`)
		b.Click("[data-answer]", "Deny once")
		if got := receive(t, "answer", answers); !strings.Contains(got, "denied") {
			t.Errorf("the app got %q", got)
		}
		b.Has("Deny once: Connect")
		quiet("an app is added")
	})
	t.Run("from a page of an app", func(t *testing.T) { // another port of the same address: the same site
		w.cookies.Clear()
		b.Go(w.web.URL)
		b.Has("elsewhere")
		w.cookies.Range(func(cookie, _ any) bool {
			if cookie != "" {
				t.Errorf("the page of an app was sent the cookie %q", cookie)
			}
			return true
		})
		for _, script := range []string{
			"fetch(%q, {credentials: 'include'}).then(r => 'read', () => 'refused')",
			"fetch(%q, {credentials: 'include', mode: 'no-cors', method: 'POST', body: new URLSearchParams({name: 'x'})}).then(r => 'sent ' + r.status, () => 'refused')",
		} {
			got, err := b.Eval(fmt.Sprintf(script, way.URL+"profile"))
			if err != nil || got == "read" {
				t.Errorf("%s: %s %v", script, got, err)
			}
		}
		if got, _ := b.Eval(fmt.Sprintf(`new Promise(r => { const f = document.createElement("iframe"); f.onload = () => { try { r("frame " + f.contentDocument.title) } catch { r("nothing") } }; f.src = %q; document.body.append(f); setTimeout(() => r("nothing"), 1000) })`, way.URL)); strings.Contains(got, "Consentry") {
			t.Errorf("framed: %s", got)
		}
		b.Eval(fmt.Sprintf(`const f = document.createElement("form"); f.method = "post"; f.action = %q; document.body.append(f); f.submit()`, way.URL+"profile"))
		b.Has("another")
		b.Problems()
	})
	t.Run("the token again", func(t *testing.T) {
		file := filepath.Join(w.home, "again.html")
		page := fmt.Sprintf(`<form method=post action="%senter"><input name=token value=%s></form><script>document.forms[0].submit()</script>`, way.URL, token)
		if err := os.WriteFile(file, []byte(page), 0o600); err != nil {
			t.Fatal(err)
		}
		b.Go("file://" + file)
		b.Has("was used")
		b.Problems()
	})
}

// Without scripts the pages work as well, and hold an early answer back.
func TestAnEarlyAnswer(t *testing.T) {
	w := newWorld(t, 0)
	way := w.way(api.ConsoleRequest{})
	v := w.visitor(way)
	if got := v.enter(tokenIn(t, way.File)); got != "" {
		t.Fatal(got)
	}
	answers := make(chan string, 1)
	w.start("early", w.gets("/", 1, answers))
	var p api.Prompt
	until(t, "a question waits", func() bool {
		list, err := w.client.Requests(t.Context())
		if err == nil && len(list) == 1 {
			p = list[0]
		}
		return p.ID != ""
	})
	time.Sleep(1100 * time.Millisecond) // for the agent it is old enough, this browser has not seen it
	press := func() string {
		resp, _ := v.do(request{method: "POST", path: "answer", origin: "http://" + v.url.Host, values: map[string][]string{
			"form": {v.form}, "id": {p.ID}, "nonce": {p.Nonce}, "choice": {"0"},
		}})
		if resp.StatusCode != 303 {
			t.Fatal(resp.Status)
		}
		_, page := v.do(request{})
		return page
	}
	if page := press(); !strings.Contains(page, "first second") {
		t.Errorf("it was answered before it was seen: %s", page)
	}
	if page := press(); !strings.Contains(page, "first second") {
		t.Errorf("it was answered at once: %s", page)
	}
	w.clock.Add(int64(time.Second))
	nonce := p.Nonce
	p.Nonce = "x"
	press()
	p.Nonce = nonce
	if page := press(); !strings.Contains(page, "Allow once: Connect") {
		t.Errorf("it was not answered: %s", page)
	}
	if got := receive(t, "answer", answers); got != "HTTP/1.1 200 OK" {
		t.Errorf("the app got %q", got)
	}
}
