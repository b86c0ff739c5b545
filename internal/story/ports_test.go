//go:build linux

package story

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/app"
)

func (w *world) ports(run string) (list []api.Port) {
	w.t.Helper()
	must(w.t, json.Unmarshal([]byte(w.want("port", "ls", run, "--json")), &list))
	return list
}

// occupy has another program of the user's listen at addr, and returns how to end
// it.
func (w *world) occupy(kind, addr, port string) (end func()) {
	w.t.Helper()
	const hold = `import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[2] else socket.AF_INET, socket.SOCK_STREAM if sys.argv[1] == "tcp" else socket.SOCK_DGRAM)
s.bind((sys.argv[2], int(sys.argv[3])))
if sys.argv[1] == "tcp": s.listen()
print("has it", flush=True); sys.stdin.read()`
	cmd := w.in(w.machine, "python3", "-c", hold, kind, addr, port)
	in, err := cmd.StdinPipe()
	must(w.t, err)
	other := w.running(cmd)
	w.until("another program has the port", func() bool { return strings.Contains(other.out.String(), "has it") })
	return func() { in.Close(); other.wait() }
}

// page is what a page of the user's machine says, or "".
func (w *world) page(url string) string {
	w.t.Helper()
	return w.command(w.machine, "curl", "-sS", "-g", "-m", "10", url).wait().out
}

// Ports that a manifest wishes for: each is asked about, opened by a yes on both
// loopback addresses, and taken away with the yes.
func TestPortsOfAManifest(t *testing.T) {
	w := newWorld(t)
	dir := filepath.Join(t.TempDir(), "layout")
	labelled(t, dir, map[string]string{app.ManifestLabel: `{"version": 1, "name": "Pages", "rights": [], "ports": [
		{"port": 8000, "label": "The page", "http": true}, {"port": 8001, "label": "The other page", "http": true}, {"port": 80, "label": "A low one"}]}`})
	const serve = `import threading
from http.server import *
class H(BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b"page %d" % self.server.server_port)
    def log_message(self, *a): pass
class S(ThreadingHTTPServer): daemon_threads = True
for port in (8000, 8001, 80): threading.Thread(target=S(("", port), H).serve_forever).start()`
	end := w.occupy("tcp", "::1", "8001")
	w.want("run", "-d", "--quiet", "--name", "pages", "--hold", "60s", dir, "python3", "-c", serve)
	first, second, low := w.request("8000"), w.request("8001"), w.request("80")
	if first.Kind != "net.listen" || !strings.Contains(fmt.Sprintf("%+v", first), "The page") {
		t.Errorf("the question is %+v", first)
	}
	if list := w.ports("pages"); len(list) != 0 || w.page("http://127.0.0.1:8000/") != "" {
		t.Errorf("before a yes: %+v", list)
	}
	w.want("allow", first.ID, "--always")
	for _, at := range []string{"127.0.0.1", "[::1]", "localhost", "pages.localhost"} {
		w.until("the page is at "+at, func() bool { return w.page("http://"+at+":8000/") == "page 8000" })
	}
	w.want("deny", low.ID, "--once")
	w.want("allow", second.ID, "--always") // its port is taken, so it gets another
	w.until("the other page has a port", func() bool { return len(w.ports("pages")) == 2 })
	for _, p := range w.ports("pages") {
		if p.App == 8001 && (p.Host == 8001 || w.page(fmt.Sprintf("http://[::1]:%d/", p.Host)) != "page 8001") || p.App == 80 || p.Grant == "" || len(p.Addresses) != 2 {
			t.Errorf("published: %+v", p)
		}
	}
	end()
	w.want("revoke", "--all")
	w.until("the ports are gone", func() bool { return len(w.ports("pages")) == 0 && w.page("http://127.0.0.1:8000/") == "" })
	if list := w.want("log", "--json"); !strings.Contains(list, `"unpublish"`) {
		t.Error("the ledger says nothing of it")
	}
}

// A port that somebody has, on either address and over either protocol: the error
// names the port, who has it and what to do, and nothing is half open. When it is
// free again, it can be had.
func TestPortsThatAreTaken(t *testing.T) {
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--no-input", "--name", "app", "-p", "7000:8000", built.image)
	for _, c := range []struct{ kind, addr, suffix string }{
		{"tcp", "127.0.0.1", ""}, {"tcp", "::1", "/raw"}, {"udp", "127.0.0.1", "/udp"}, {"udp", "::1", "/udp"},
	} {
		end := w.occupy(c.kind, c.addr, "7001")
		for name, r := range map[string]result{
			"port add": w.result("port", "add", "app", "7001:8000"+c.suffix),
			"run -p":   w.result("run", "--rm", "--quiet", "--no-input", "-p", "7001:8000"+c.suffix, built.image, "true"),
		} {
			for _, word := range []string{"7001", "python3", "hint", "7002:8000"} {
				if !strings.Contains(r.err, word) {
					t.Errorf("%s, %s on %s: exit %d, no %q in %s", name, c.kind, c.addr, r.code, word, r.err)
				}
			}
			if r.code == 0 {
				t.Errorf("%s, %s on %s: it went well", name, c.kind, c.addr)
			}
		}
		if list := w.ports("app"); len(list) != 1 || list[0].Host != 7000 {
			t.Errorf("%s on %s: published is %+v", c.kind, c.addr, list)
		}
		end()
		w.want("port", "add", "app", "7001:8000"+c.suffix)
		if list := w.ports("app"); len(list) != 2 || len(list[1].Addresses) != 2 {
			t.Errorf("%s on %s: published is %+v", c.kind, c.addr, list)
		}
		rm := "7001"
		if c.kind == "udp" {
			rm += "/udp"
		}
		w.want("port", "rm", "app", rm)
	}
	if list := w.want("ps", "--all", "--json"); strings.Count(list, `"id"`) != 1 {
		t.Errorf("runs that failed are left: %s", list)
	}
}
