package httpapi

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// counted is a Broker that counts questions.
type counted struct {
	fake
	mu    sync.Mutex
	asked int
}

func (c *counted) Open(ctx context.Context, req sandbox.DataRequest) (sandbox.DataReply, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked++
	return c.fake.Open(ctx, req)
}

// Probe 68: a page in a browser of the app tries the data API in every way that
// needs no leave of the server, and in one that does.
func TestABrowserCannotTriggerTheAPI(t *testing.T) {
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Skip("needs chromium: run make deps")
	}
	if os.Getuid() != 0 {
		t.Log("not root: chromium uses its own sandbox")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	broker := &counted{fake: fake{reply: sandbox.DataReply{Values: map[string]any{"email": "ada@example.org"}}}}
	var tried sync.Map
	guarded := New(broker, l.Addr().String())
	api := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tried.Store(r.Method+" "+r.URL.Query().Get("way"), true)
		guarded.ServeHTTP(w, r)
	})}
	defer guarded.Close()
	go api.Serve(l)
	defer api.Close()
	done := make(chan struct{})
	var once sync.Once
	page := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/done" {
			once.Do(func() { close(done) })
		}
		fmt.Fprintf(w, `<!doctype html><iframe name=sink></iframe><script>
const at = way => "http://%[1]s/v1/user/email?purpose=x&way=" + way;
const mcp = way => "http://%[1]s/mcp?way=" + way;
const call = JSON.stringify({jsonrpc: "2.0", id: 1, method: "tools/call", params: {name: "read_identity", arguments: {fields: ["email"], purpose: "x"}}});
const tries = [
  () => new Promise(r => { const i = new Image(); i.onload = i.onerror = r; i.src = at("image") }),
  () => fetch(at("fetch"), {mode: "no-cors", credentials: "include"}),
  () => fetch(at("header"), {headers: {"Consentry-Request": "1"}}),
  () => fetch(at("post"), {method: "POST", mode: "no-cors", body: '{"items":[{"type":"identity","fields":["email"]}],"purpose":"x"}'}),
  () => fetch(mcp("mcp"), {method: "POST", mode: "no-cors", body: call}),
  () => fetch(mcp("mcpjson"), {method: "POST", headers: {"Content-Type": "application/json"}, body: call}),
  () => { const f = document.createElement("form"); f.action = at("form"); f.method = "post"; f.target = "sink"; document.body.append(f); f.submit(); return new Promise(r => setTimeout(r, 1000)) },
];
(async () => { for (const t of tries) { try { await t() } catch (e) {} } fetch("/done") })();
</script>`, l.Addr())
	}))
	defer page.Close()
	browser := exec.Command(chromium, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
		"--remote-debugging-port=0", "--user-data-dir="+t.TempDir(), page.URL)
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		browser.Process.Signal(os.Interrupt)
		browser.Wait()
	}()
	select {
	case <-done:
	case <-time.After(2 * time.Minute):
		t.Fatal("the page has not tried everything in two minutes")
	}
	for _, way := range []string{"GET image", "GET fetch", "OPTIONS header", "POST post", "POST form", "POST mcp", "OPTIONS mcpjson"} {
		if _, ok := tried.Load(way); !ok {
			t.Errorf("%s did not reach the API: nothing was shown", way)
		}
	}
	if broker.mu.Lock(); broker.asked != 0 {
		t.Errorf("the user was asked %d times", broker.asked)
	}
	broker.mu.Unlock()
}
