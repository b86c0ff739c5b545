//go:build linux

package story

import (
	"encoding/binary"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/dial"
)

// want runs a command that must go well.
func (w *world) want(args ...string) string {
	w.t.Helper()
	r := w.result(args...)
	if r.code != 0 {
		w.t.Fatalf("consentry %s: exit %d, %s", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

func (w *world) flows() (list []api.Flow) {
	w.t.Helper()
	must(w.t, json.Unmarshal([]byte(w.want("flows", "--json")), &list))
	return list
}

func TestFlowsStatsAndCapture(t *testing.T) {
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--name", "app", built.image, "sleep", "1000")
	pcap := filepath.Join(w.home, "app.pcap")
	capture := w.start("capture", "app", "-o", pcap)
	w.until("the capture runs", func() bool { info, err := os.Stat(pcap); return err == nil && info.Size() > 0 })
	app := w.start("exec", "app", "curl", "-4sS", "-o", "/dev/null", "http://"+webName+"/slow")
	p := w.request(webTarget)
	if list := w.flows(); len(list) != 1 || list[0].State != "held" || list[0].Host != webName || list[0].Port != 80 {
		t.Errorf("while it is held: %+v", list)
	}
	w.want("allow", p.ID, "--always")
	rule := ""
	w.until("the flow moves bytes", func() bool {
		list := w.flows()
		return len(list) == 1 && list[0].State == "open" && list[0].In > 1000
	})
	f := w.flows()[0]
	for _, g := range w.grants() {
		rule = g.ID
	}
	if f.Host != webName || f.Address != worldAddr+":80" || len(f.Grants) != 1 || f.Grants[0] != rule || f.Direction != "out" || f.RunName != "app" {
		t.Errorf("the flow is %+v, the rule %s", f, rule)
	}
	if out := w.want("flows", "app"); !strings.Contains(out, "tcp/"+webName+":80") {
		t.Errorf("for people:\n%s", out)
	}
	var stats []api.RunStats
	must(t, json.Unmarshal([]byte(w.want("stats", "app", "--json")), &stats))
	if n := stats[0].Network; len(stats) != 1 || n == nil || n.Flows != 1 || n.Names != 1 || n.BytesIn < 1000 || n.Queries == 0 || n.FramesIn == 0 {
		t.Errorf("stats: %+v %+v", stats, n)
	}
	began := time.Now()
	w.want("revoke", "--all")
	if r := app.wait(); r.code == 0 || time.Since(began) > 2*time.Second {
		t.Errorf("exit %d, %s after the revocation", r.code, time.Since(began))
	}
	if list := w.flows(); len(list) != 0 {
		t.Errorf("flows are left: %+v", list)
	}
	w.want("exec", "app", "sh", "-c", "echo x >/dev/udp/10.0.2.2/1 2>/dev/null; curl -s -m 2 http://10.0.2.2:1/; true")
	must(t, json.Unmarshal([]byte(w.want("stats", "app", "--json")), &stats))
	if n := stats[0].Network; n.Drops["gateway-port"] == 0 || n.Flows != 0 {
		t.Errorf("refusals are counted by reason: %+v", n)
	}
	capture.cmd.Process.Signal(os.Interrupt)
	if r := capture.wait(); r.code != 0 {
		t.Errorf("capture: exit %d, %s", r.code, r.err)
	}
	raw, err := os.ReadFile(pcap)
	must(t, err)
	if len(raw) < 24 || binary.LittleEndian.Uint32(raw) != 0xa1b23c4d || !strings.Contains(string(raw), "\x03web\x04test") || !strings.Contains(string(raw), "GET /slow") {
		t.Errorf("the capture of %d bytes lacks the app's own traffic", len(raw))
	}
	told := w.run(exec.Command("tcpdump", "-nn", "-A", "-r", pcap)) // somebody else's reader
	for _, want := range []string{"A? " + webName + ".", "> 10.0.2.2.53:", "Flags [S]", "GET /slow HTTP/1.1"} {
		if !strings.Contains(told, want) {
			t.Errorf("tcpdump sees no %q in the capture", want)
		}
	}
	if r := w.result("capture", "app"); r.code == 0 || !strings.Contains(r.err, "hint") {
		t.Errorf("a capture to nowhere: exit %d %s", r.code, r.err)
	}
}

func TestBandwidthOfAnApp(t *testing.T) {
	w := newWorld(t)
	time1 := func(flags ...string) time.Duration {
		line := append([]string{"run", "--rm", "--quiet", "--answer", "allow"}, flags...)
		r := w.result(append(line, built.image, "curl", "-4sS", "-o", "/dev/null", "-w", "%{time_total} %{size_download}", "http://"+webName+"/big")...)
		seconds, bytes, _ := strings.Cut(r.out, " ")
		if r.code != 0 || bytes != "2097152" {
			t.Fatalf("exit %d: %s bytes, %s", r.code, bytes, r.err)
		}
		took, err := time.ParseDuration(seconds + "s")
		must(t, err)
		return took
	}
	if took := time1("--bandwidth", "512k"); took < 2*time.Second {
		t.Errorf("2 MiB at 512 KiB a second took %s", took)
	}
}

func TestPortsChangeWhileTheAppRuns(t *testing.T) {
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--no-input", "--name", "page", built.image, "python3", "-c", pageServer)
	curl := func(args ...string) *running {
		return w.command(w.machine, append([]string{"curl", "-sS", "-m", "60"}, args...)...)
	}
	if url := strings.TrimSpace(w.want("port", "add", "page", "8080:8000")); url != "http://page.localhost:8080/" {
		t.Errorf("the page is at %q", url)
	}
	w.until("the app answers", func() bool { return curl("http://localhost:8080/own").wait().out == "own" })
	if r := curl("-o", "/dev/null", "-w", "%{http_code}", "-H", "Host: evil.example", "http://localhost:8080/").wait(); r.out != "421" {
		t.Errorf("another Host: %q", r.out)
	}
	if r := curl("-o", "/dev/null", "-w", "%{http_code}", "-X", "POST", "-H", "Origin: http://evil.example", "http://localhost:8080/own").wait(); r.out != "403" {
		t.Errorf("another Origin: %q", r.out)
	}
	if r := w.result("port", "add", "page", "8080:8000"); r.code == 0 || !strings.Contains(r.err, "consentry") || !strings.Contains(r.err, "hint") {
		t.Errorf("a port that is taken: exit %d, %s", r.code, r.err)
	}
	if r := w.result("port", "rm", "page", "9090"); r.code == 0 || !strings.Contains(r.err, "hint") {
		t.Errorf("a port that is not there: exit %d, %s", r.code, r.err)
	}

	open := curl("-N", "http://localhost:8080/events")
	w.until("the event has come", func() bool { return strings.Contains(open.out.String(), "own") })
	if list := w.flows(); len(list) != 1 || list[0].Direction != "in" || list[0].Port != 8000 || list[0].In == 0 {
		t.Errorf("flows: %+v", list)
	}
	began := time.Now()
	w.want("port", "rm", "page", "8080")
	if r := open.wait(); r.code == 0 || time.Since(began) > 2*time.Second {
		t.Errorf("the connection of a port that was taken back ended with %d, %s after", r.code, time.Since(began))
	}
	if r := curl("http://localhost:8080/own").wait(); r.code != 7 {
		t.Errorf("the port is still open: curl's exit %d", r.code)
	}

	const echo = `import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.bind(("0.0.0.0", 5353))
while True:
    d, a = s.recvfrom(2000); s.sendto(d.upper(), a)`
	w.want("run", "-d", "--quiet", "--no-input", "--name", "echo", "-p", "5300:5353/udp", built.image, "python3", "-c", echo)
	const ask = `import socket, sys
s = socket.socket(socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(1)
for i in range(20):
    try:
        s.sendto(b"hello", (sys.argv[1], 5300)); print(s.recv(2000).decode()); break
    except OSError as e: pass`
	for _, at := range []string{"127.0.0.1", "::1"} {
		if r := w.command(w.machine, "python3", "-c", ask, at).wait(); r.out != "HELLO\n" {
			t.Errorf("UDP at %s: %q %s", at, r.out, r.err)
		}
	}
	w.want("port", "rm", "echo", "5300/udp")
	if r := w.command(w.machine, "python3", "-c", strings.Replace(ask, "range(20)", "range(1)", 1), "127.0.0.1").wait(); r.out != "" {
		t.Errorf("UDP after it was taken back: %q", r.out)
	}
}

// Probe 33: names that lead to this computer, the local network, metadata.
func TestRebinding(t *testing.T) {
	w := newWorld(t)
	w.ip("-n", w.rest, "addr", "add", "169.254.169.254/32", "dev", "lo")
	w.ip("-n", w.machine, "route", "add", "169.254.169.254", "via", worldAddr)
	own := w.listen()
	w.want("run", "-d", "--quiet", "--name", "app", "--hold", "30s", built.image, "sleep", "1000")
	w.want("allow", "app", "net.connect", "tcp/flip.test:80")
	get := func() *running {
		return w.start("exec", "app", "curl", "-4sS", "-m", "20", "http://flip.test/")
	}
	w.rename("flip.test", worldAddr)
	if r := get().wait(); r.code != 0 {
		t.Fatalf("the public address: %s", r.err)
	}
	before := w.reached()

	w.rename("flip.test", "169.254.169.254")
	if r := get().wait(); r.code == 0 || w.reached() != before {
		t.Errorf("metadata: exit %d, %d connections", r.code, w.reached()-before)
	}
	w.want("allow", "app", "net.connect", "tcp/169.254.169.254:80")
	if r := get().wait(); r.code == 0 || w.reached() != before {
		t.Errorf("metadata with a grant of its own: exit %d, %d connections", r.code, w.reached()-before)
	}
	if raw := w.want("requests", "--json"); strings.Contains(raw, "169.254.169.254") {
		t.Errorf("the user was asked about metadata: %s", raw)
	}

	w.rename("flip.test", "64:ff9b::a9fe:a9fe") // metadata as NAT64 writes it
	if r := get().wait(); r.code == 0 || strings.Contains(w.want("requests", "--json"), "64:ff9b") {
		t.Errorf("metadata in IPv6: exit %d, or the user was asked", r.code)
	}
	for _, near := range []string{"192.168.77.1", "fd00:77::1", "::1"} {
		w.rename("flip.test", near)
		app := get()
		w.want("allow", w.request("tcp/"+net.JoinHostPort(near, "80")).ID, "--once") // three times no would end the questions
		if r := app.wait(); r.code == 0 {
			t.Errorf("%s, where nobody is: exit %d", near, r.code)
		}
	}

	w.rename("flip.test", "127.0.0.1")
	app := get()
	p := w.request("tcp/127.0.0.1:80")
	if own() != 0 {
		t.Error("a connection to this computer before its own yes")
	}
	w.want("deny", p.ID, "--once")
	if r := app.wait(); r.code == 0 || own() != 0 {
		t.Errorf("after a no: exit %d, %d connections", r.code, own())
	}
	w.want("allow", "app", "net.connect", "tcp/127.0.0.1:80")
	app = get()
	w.until("the connection arrives after its own yes", func() bool { return own() == 1 })
	app.cmd.Process.Kill()
	app.wait()
}

// rename makes the world's resolver answer a name with addr, at once.
func (w *world) rename(name, addr string) {
	w.t.Helper()
	must(w.t, os.WriteFile(w.hosts(), []byte(addr+" "+name+"\n"), 0o644))
	must(w.t, w.resolver.Process.Signal(syscall.SIGHUP))
	w.until(name+" is "+addr, func() bool {
		out, _ := w.in(w.machine, "python3", "-c", "import socket; print(socket.getaddrinfo('"+name+"', 0)[0][4][0])").Output()
		return strings.TrimSpace(string(out)) == addr
	})
	time.Sleep(dial.Remembered)
}

// listen counts the connections to port 80 of the machine's own loopback.
func (w *world) listen() (count func() int) {
	const accept = `import socket
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1", 80)); s.listen()
print("ready", flush=True)
while True:
    c, _ = s.accept(); print("hit", flush=True)`
	log := filepath.Join(w.home, "python3.log")
	w.daemon(w.machine, nil, "python3", "-c", accept)
	read := func(word string) int {
		raw, _ := os.ReadFile(log)
		return strings.Count(string(raw), word)
	}
	w.until("the listener is ready", func() bool { return read("ready") == 1 })
	return func() int { return read("hit") }
}

// The user's company lets nothing out but through its proxy.
func TestThroughTheUsersProxy(t *testing.T) {
	w := newWorld(t)
	w.restartAgent("ALL_PROXY=http://"+worldAddr+":3128", "NO_PROXY="+otherName)
	asked := func() string {
		raw, _ := os.ReadFile(w.hits + ".proxy")
		return strings.Join(strings.Fields(string(raw)), " ")
	}
	get := func(host string) result {
		return w.result("run", "--rm", "--quiet", "--answer", "allow", built.image, "curl", "-4sS", "http://"+host+"/")
	}
	if r := get(webName); r.out != "page of "+webName+"\n" || asked() != worldAddr+":80" {
		t.Errorf("the proxy was asked for %q, want the address that was judged; %q %s", asked(), r.out, r.err)
	}
	if r := get("only.beyond.test"); r.code != 0 || asked() != worldAddr+":80 only.beyond.test:80" {
		t.Errorf("a name that only the proxy knows: asked for %q; %s", asked(), r.err)
	}
	before := asked()
	if r := get("nas.local"); r.code == 0 || asked() != before {
		t.Errorf("a local name: exit %d, asked for %q", r.code, asked())
	}
	if r := get(otherName); r.code != 0 || asked() != before {
		t.Errorf("a name of NO_PROXY: %s, asked for %q", r.err, asked())
	}
	var lines strings.Builder
	lines.WriteString(w.want("log", "--json"))
	if !strings.Contains(lines.String(), "tcp/only.beyond.test:80") {
		t.Error("the verdict was not about the name")
	}
}

// P9 and the guard: addresses of the machine other than the loopback ones.
func TestPublishedPortsAreOnLoopbackOnly(t *testing.T) {
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--no-input", "-p", "8080:8000", "-p", "8081:8000/raw", "-p", "8082:8000/udp", built.image)
	out, err := w.in(w.machine, "cat", "/proc/self/net/tcp", "/proc/self/net/tcp6", "/proc/self/net/udp", "/proc/self/net/udp6").Output()
	must(t, err)
	found := 0
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) < 4 || fields[3] != "0A" && fields[3] != "07" {
			continue
		}
		addr, _, _ := strings.Cut(fields[1], ":")
		if addr != "0100007F" && addr != "00000000000000000000000001000000" {
			t.Errorf("a listener at %s", fields[1])
		}
		found++
	}
	if found < 6 {
		t.Errorf("%d listeners, want three on two addresses:\n%s", found, out)
	}
	for _, port := range []string{"8080", "8081"} {
		for _, from := range []string{w.machine, w.rest} {
			at := net.JoinHostPort(machineAddr, port)
			if r := w.command(from, "curl", "-sS", "-m", "3", "http://"+at+"/").wait(); r.code == 0 {
				t.Errorf("it answers at %s, seen from %s", at, from)
			}
		}
	}
}
