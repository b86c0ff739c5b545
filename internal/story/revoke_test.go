//go:build linux

package story

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A grant that is taken back cuts everything that lives by it, also while the
// flows move as much as they can: TCP and UDP, IPv4 and IPv6.
func TestRevocationUnderLoad(t *testing.T) {
	w := newWorld(t)
	const downloads = 16
	w.want("run", "-d", "--quiet", "--name", "app", "--no-input", built.image, "sleep", "1000")
	for _, host := range []string{webName, sixName} {
		w.want("allow", "app", "net.connect", "tcp/"+host+":80")
		w.want("allow", "app", "net.connect", "udp/"+host+":9999")
	}
	load := w.start("exec", "app", "sh", "-c", fmt.Sprintf(
		"for i in $(seq %d); do curl -4s -o /dev/null http://%s/flood & curl -6s -o /dev/null http://%s/flood & done; wait; echo ended", downloads/2, webName, sixName))
	datagrams := w.start("exec", "app", "python3", "-c", fmt.Sprintf(`import socket, time
def way(family, host):
    s = socket.socket(family, socket.SOCK_DGRAM); s.connect(socket.getaddrinfo(host, 9999, family)[0][4]); return s
ways = [way(socket.AF_INET, %q), way(socket.AF_INET6, %q)]
while True:
    for s in ways:
        try: s.send(b"x" * 1000)
        except OSError: pass
    time.sleep(.001)`, webName, sixName))
	count := func(network string) (n int) {
		for _, f := range w.flows() {
			if f.Network == network && f.State == "open" && f.In+f.Out > 0 {
				n++
			}
		}
		return n
	}
	w.untilWithin(3, "all flows move bytes", func() bool { return count("tcp") == downloads && count("udp") == 2 })
	began := time.Now()
	w.want("revoke", "--all")
	revoked := time.Since(began)
	r := load.wait()
	took := time.Since(began)
	t.Logf("the command took %s, the last of %d downloads ended after %s", revoked, downloads, took)
	// One second on a machine of one's own; beside other tests most of this is
	// the time that processes wait for a processor.
	if r.out != "ended\n" || took > revoked+5*time.Second {
		t.Errorf("downloads ended after %s: %q %s", took, r.out, r.err)
	}
	if n := len(w.flows()); n != 0 {
		t.Errorf("%d flows are left", n)
	}
	datagrams.cmd.Process.Kill()
	datagrams.wait()
}

// Offline stands above every rule: what is open is cut, what waits is refused,
// and so it stays until the user says otherwise, whatever becomes of the agent.
func TestOffline(t *testing.T) {
	w := newWorld(t)
	start := func() {
		w.want("run", "-d", "--quiet", "--name", "app", built.image, "sleep", "1000")
		w.want("allow", "app", "net.connect", "tcp/"+webName+":80")
	}
	get := func(path string) *running {
		return w.start("exec", "app", "curl", "-4sS", "--max-time", "40", "-o", "/dev/null", "http://"+webName+path)
	}
	refused := func(when string) {
		t.Helper()
		before := w.reached()
		if r := get("/").wait(); r.code != 7 || w.reached() != before {
			t.Errorf("%s curl's exit is %d (7 is refused), %d connections reached the server: %s", when, r.code, w.reached()-before, r.err)
		}
	}
	start()
	download := get("/slow")
	w.until("it downloads", func() bool { return len(w.flows()) == 1 })
	asks := w.start("exec", "app", "curl", "-4sS", "--max-time", "40", "http://"+webName+":81/")
	w.request("tcp/" + webName + ":81")
	w.want("offline")
	if n := len(w.flows()); n != 0 {
		t.Errorf("%d flows are left", n)
	}
	if r := download.wait(); r.code == 0 {
		t.Error("the download came to its end")
	}
	if r := asks.wait(); r.code != 7 {
		t.Errorf("what waited ends with %d: %s", r.code, r.err)
	}
	refused("offline")
	for _, p := range w.inbox() {
		if p.Live || p.Target == webTarget {
			t.Errorf("it asks: %+v", p)
		}
	}
	w.restartAgent()
	w.want("start", "app")
	refused("offline, after the agent started anew")
	w.want("online")
	if r := get("/").wait(); r.code != 0 {
		t.Errorf("online curl's exit is %d: %s", r.code, r.err)
	}
	if r := w.result("log", "--json"); !strings.Contains(r.out, `"offline"`) || !strings.Contains(r.out, `"online"`) {
		t.Error("the ledger does not say when apps were offline")
	}
}
