//go:build linux

package story

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// An app finds its gateway, the data API and itself by name, and nobody outside
// is asked about those names.
func TestAnAppFindsItsServicesByName(t *testing.T) {
	w := newWorld(t)
	seen := w.watch()
	w.want("run", "-d", "--quiet", "--no-input", "--name", "my_app", built.image, "sleep", "1000")
	look := fmt.Sprintf(`import socket
for family in (socket.AF_INET, socket.AF_INET6):
    for host in ("api.%[1]s", "gateway.%[1]s", socket.gethostname() + ".%[1]s"):
        addr = socket.getaddrinfo(host, 80, family)[0][4][0]
        print(host, addr, socket.getnameinfo((addr, 80), socket.NI_NUMERICSERV)[0])
try: socket.getaddrinfo("another.%[1]s", 80)
except socket.gaierror: print("no other")`, sandbox.ServiceDomain)
	got := w.want("exec", "my_app", "python3", "-c", look)
	for _, line := range []string{
		"api.consentry.internal 10.0.2.2 gateway.consentry.internal", "gateway.consentry.internal fd00:c0de::2 gateway.consentry.internal",
		"my-app.consentry.internal 10.0.2.15 my-app", "my-app.consentry.internal fd00:c0de::15 my-app", "no other",
	} {
		if !strings.Contains(got, line+"\n") {
			t.Errorf("no %q in\n%s", line, got)
		}
	}
	api := fmt.Sprintf("http://%s:%d/v1/kinds", sandbox.DataAPIName, sandbox.DataAPIPort)
	for host, code := range map[string]string{"": "200", "Host: evil.example": "421"} {
		out := w.want("exec", "my_app", "curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "-H", "Consentry-Request: 1", "-H", host, api)
		if out != code {
			t.Errorf("the data API by name, with %q: %s", host, out)
		}
	}
	if sent := seen(); len(sent) != 0 {
		t.Errorf("these left the computer: %v", sent)
	}
}

// The user's proxy is one that others wrote: HTTP and SOCKS5, with a password.
func TestThroughProxiesOfOthers(t *testing.T) {
	w := newWorld(t)
	config := filepath.Join(w.home, "tinyproxy.conf")
	must(t, os.WriteFile(config, []byte("Port 8888\nListen "+worldAddr+"\nAllow "+machineAddr+"\nBasicAuth ada secret\nLogLevel Connect\n"), 0o644))
	w.daemon(w.rest, nil, "tinyproxy", "-d", "-c", config)
	w.daemon(w.rest, nil, "microsocks", "-i", worldAddr, "-p", "1080", "-u", "ada", "-P", "secret")
	get := func(url string) result {
		return w.result("run", "--rm", "--quiet", "--answer", "allow", built.image, "curl", "-4sS", "-m", "30", url)
	}
	for _, proxy := range []string{"http://ada:secret@" + worldAddr + ":8888", "socks5://ada:secret@" + worldAddr + ":1080", "socks5h://ada:secret@" + worldAddr + ":1080"} {
		w.restartAgent("ALL_PROXY=" + proxy)
		w.until("the proxy listens", func() bool {
			return w.command(w.rest, "curl", "-sS", "-m", "5", "-x", proxy, "http://"+worldAddr+"/").wait().code == 0
		})
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
