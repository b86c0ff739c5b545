//go:build linux

package story

import (
	"crypto/tls"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The user's proxy is one that others wrote: HTTP and SOCKS5, with a password.
func TestThroughProxiesOfOthers(t *testing.T) {
	w := newWorld(t)
	w.startProxies()
	get := func(url string) result {
		return w.result("run", "--rm", "--quiet", "--answer", "allow", built.image, "curl", "-4sS", "-m", "30", url)
	}
	for _, proxy := range []string{"http://ada:secret@" + worldAddr + ":8888", "socks5://ada:secret@" + worldAddr + ":1080", "socks5h://ada:secret@" + worldAddr + ":1080"} {
		w.restartAgent("ALL_PROXY=" + proxy)
		w.proxyListens(proxy)
		before := w.peers()
		r := get("http://" + webName + "/")
		if r.out != "page of "+webName+"\n" {
			t.Errorf("by %s: exit %d, %q %s", proxy, r.code, r.out, r.err)
		}
		if peers := w.peers()[len(before):]; len(peers) != 1 || !strings.HasPrefix(peers[0], worldAddr+":") {
			t.Errorf("by %s: the server was reached from %v, want once, from the proxy", proxy, peers)
		}
		if got := w.result("flows", "--json"); got.code != 0 || strings.Contains(r.err+got.out, "secret") {
			t.Errorf("the password is shown: %s %s", r.err, got.out)
		}
	}
	w.restartAgent("ALL_PROXY=socks5://ada:wrong@" + worldAddr + ":1080")
	before := w.peers()
	if r := get("http://" + webName + "/"); r.code == 0 || len(w.peers()) != len(before) {
		t.Errorf("with a wrong password: exit %d, %q", r.code, r.out)
	}
}

// startProxies starts both in the world, for ada with the password secret.
func (w *world) startProxies() {
	w.t.Helper()
	config := filepath.Join(w.home, "tinyproxy.conf")
	must(w.t, os.WriteFile(config, []byte("Port 8888\nListen "+worldAddr+"\nAllow "+machineAddr+"\nBasicAuth ada secret\nLogLevel Connect\n"), 0o644))
	w.daemon(w.rest, nil, "tinyproxy", "-d", "-c", config)
	w.daemon(w.rest, nil, "microsocks", "-i", worldAddr, "-p", "1080", "-u", "ada", "-P", "secret")
}

func (w *world) proxyListens(proxy string) {
	w.t.Helper()
	w.until("the proxy listens", func() bool {
		return w.command(w.rest, "curl", "-sS", "-m", "5", "-x", proxy, "http://"+worldAddr+"/").wait().code == 0
	})
}

// HTTPS_PROXY and HTTP_PROXY: what is held or denied sends no packet to the proxy
// or past it, what is allowed goes through it and nowhere else, and a password
// that it does not take is named in the agent's log.
func TestTheProxyHearsOnlyOfWhatWasAllowed(t *testing.T) {
	w := newWorld(t)
	w.startProxies()
	self, err := os.Executable()
	must(t, err)
	w.daemon(w.rest, []string{"STORY_TLS=" + w.hits}, self)
	proxy := "http://ada:secret@" + worldAddr + ":8888"
	w.restartAgent("HTTPS_PROXY="+proxy, "HTTP_PROXY="+proxy, "ALL_PROXY=socks5h://ada:secret@"+worldAddr+":1080")
	w.proxyListens(proxy)
	w.proxyListens("socks5h://ada:secret@" + worldAddr + ":1080")
	w.want("run", "-d", "--quiet", "--name", "app", "--hold", "60s", built.image, "sleep", "1000")
	w.want("run", "-d", "--quiet", "--name", "denied", "--no-input", built.image, "sleep", "1000")
	seen := w.watch()
	get := func(app, url string) *running {
		return w.start("exec", app, "curl", "-4sSk", "-m", "60", url)
	}
	// packetsTo are the ports of the world that TCP was sent to, but for DNS.
	packetsTo := func(before map[string]int) (ports []string) {
		for _, kind := range newPackets(before, seen()) {
			if _, port, tcp := strings.Cut(kind, "protocol 6 to "+worldAddr+" port "); tcp {
				ports = append(ports, port)
			}
		}
		return ports
	}
	for _, c := range []struct{ url, target, port, page string }{
		{"https://" + webName + "/", "tcp/" + webName + ":443", "8888", "page of " + webName},
		{"http://" + webName + "/", "tcp/" + webName + ":80", "8888", "page of " + webName},
		{"http://" + webName + ":3128/", "tcp/" + webName + ":3128", "1080", ""}, // answers as it is no CONNECT
	} {
		before, peers := seen(), w.peers()
		if r := get("denied", c.url).wait(); r.code == 0 {
			t.Errorf("%s: %q without a grant", c.url, r.out)
		}
		app := get("app", c.url)
		p := w.request(c.target)
		if sent := newPackets(before, seen()); len(sent) != 0 {
			t.Errorf("%s: while one is denied and one held, these left the computer: %v", c.url, sent)
		}
		w.want("allow", p.ID, "--once")
		if r := app.wait(); r.code != 0 || strings.TrimSpace(r.out) != c.page {
			t.Errorf("%s: exit %d, %q %s", c.url, r.code, r.out, r.err)
		}
		if ports := packetsTo(before); len(ports) != 1 || ports[0] != c.port {
			t.Errorf("%s: connections to the ports %v, want the proxy's %s alone", c.url, ports, c.port)
		}
		for _, peer := range w.peers()[len(peers):] {
			if host, _, _ := net.SplitHostPort(peer); host != worldAddr {
				t.Errorf("%s: the server was reached from %s", c.url, peer)
			}
		}
	}
	w.restartAgent("HTTPS_PROXY=http://ada:wrong@" + worldAddr + ":8888")
	peers := w.peers()
	r := w.result("run", "--rm", "--quiet", "--answer", "allow", built.image, "curl", "-4sSk", "-m", "20", "https://"+webName+"/")
	log, _ := os.ReadFile(filepath.Join(w.home, "consentry.log"))
	if r.code == 0 || len(w.peers()) != len(peers) || !strings.Contains(string(log), "it wants another user and password") {
		t.Errorf("a wrong password: exit %d, %d connections", r.code, len(w.peers())-len(peers))
	}
	if strings.Contains(string(log), "ada:") {
		t.Error("the password is in the log")
	}
}

// serveTLS is the world's web server on port 443, with the certificate of the
// folder STORY_PAIR if there is one.
func serveTLS(hits string) error {
	l, err := net.Listen("tcp", ":443")
	if err != nil {
		return err
	}
	server := httptest.NewUnstartedServer(pages(hits))
	server.Listener = l
	server.Config.ConnState = noteConnections(hits)
	if dir := os.Getenv("STORY_PAIR"); dir != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
		if err != nil {
			return err
		}
		server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	}
	server.StartTLS()
	select {}
}

// restartAgent gives the agent another environment.
func (w *world) restartAgent(env ...string) {
	w.t.Helper()
	must(w.t, w.agent.Process.Signal(syscall.SIGKILL))
	w.until("the agent is gone", func() bool { return w.agentPID() == 0 })
	w.env = append(w.env, env...)
	w.startAgent()
}

// peers are who has connected to the web server of the world.
func (w *world) peers() []string {
	raw, _ := os.ReadFile(w.hits)
	return strings.Fields(string(raw))
}
