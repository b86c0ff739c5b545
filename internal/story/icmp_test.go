//go:build linux

package story

import (
	"os/exec"
	"strings"
	"testing"
)

// A network beyond the world, over a link of 1,300 bytes.
const (
	beyondAddr  = "192.175.48.6" // of AS112, as the others
	beyondAddr6 = "2620:4f:8000:1::6"
	narrow      = "1300"
)

// addBeyond makes that network, with addresses that its router does not serve:
// .101 is unreachable, .102 prohibited.
func (w *world) addBeyond() {
	w.t.Helper()
	beyond := strings.TrimSuffix(w.rest, "w") + "f"
	w.t.Cleanup(func() { exec.Command("ip", "netns", "del", beyond).Run() })
	for _, line := range []string{
		"netns add " + beyond,
		"link add near netns " + w.rest + " mtu " + narrow + " type veth peer name far mtu " + narrow + " netns " + beyond,
		"-n " + w.rest + " addr add 192.175.48.1/24 dev near", "-n " + w.rest + " addr add 2620:4f:8000:1::1/64 dev near nodad",
		"-n " + w.rest + " link set near up",
		"-n " + beyond + " addr add " + beyondAddr + "/24 dev far", "-n " + beyond + " addr add " + beyondAddr6 + "/64 dev far nodad",
		"-n " + beyond + " link set far up",
		"-n " + beyond + " route add default via 192.175.48.1", "-n " + beyond + " -6 route add default via 2620:4f:8000:1::1",
		"-n " + w.machine + " route add default via " + worldAddr, "-n " + w.machine + " -6 route add default via " + worldAddr6,
		"-n " + w.rest + " route add unreachable 192.175.48.101", "-n " + w.rest + " route add prohibit 192.175.48.102",
		"-n " + w.rest + " -6 route add unreachable 2620:4f:8000:1::101", "-n " + w.rest + " -6 route add prohibit 2620:4f:8000:1::102",
	} {
		w.ip(strings.Fields(line)...)
	}
	for _, knob := range []string{"ipv4.ip_forward=1", "ipv6.conf.all.forwarding=1", "ipv4.icmp_ratelimit=0", "ipv6.icmp.ratelimit=0"} {
		w.run(w.in(w.rest, "sysctl", "-qw", "net."+knob))
	}
	w.daemon(beyond, nil, "python3", "-c", `import socket
s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); s.bind(("::", 7))
while True:
    d, a = s.recvfrom(65536); s.sendto(d, a)`)
}

// pathSpeaker sends 1,400 bytes to a place until they come back, and tells the
// path MTU that its own kernel has learned, or what it hears of an address that
// is not served.
const pathSpeaker = `import socket, struct, sys, time
want, to = sys.argv[1], socket.getaddrinfo(sys.argv[2], 7, int(sys.argv[3]), socket.SOCK_DGRAM)[0]
s = socket.socket(to[0], socket.SOCK_DGRAM); s.settimeout(0.3)
level, recverr, mtu = (0, 11, 14) if to[0] == socket.AF_INET else (41, 25, 24)
s.setsockopt(level, recverr, 1); s.connect(to[4])
said = ""
for i in range(40):
    try:
        s.send(b"x" * 1400)
        if len(s.recv(2000)) == 1400: said = "came back"; break
    except OSError: pass
    try:
        while True:
            _, oob, _, _ = s.recvmsg(1, 500, 0x2000 | 0x40)
            _, _, kind, code = struct.unpack("=IBBB", oob[-1][2][:7])
            if want == "refusal": said = "%d/%d" % (kind, code)
    except OSError: pass
    if said: break
print(said, s.getsockopt(level, mtu) if want == "mtu" else "")`

// What routers on the way say of an app's datagrams reaches the app, as if it had
// sent them itself.
func TestWhatNetworksSayReachesTheApp(t *testing.T) {
	w := newWorld(t)
	w.addBeyond()
	w.rename("beyond.test", beyondAddr6)
	for _, c := range []struct{ what, to, family, said string }{
		{"mtu", beyondAddr, "2", "came back 1300"},
		{"mtu", beyondAddr6, "10", "came back 1300"},
		{"mtu", "beyond.test", "10", "came back 1300"},
		{"mtu", "beyond.test", "2", "came back 1280"}, // the same, with the shorter header of IPv4
		{"refusal", "192.175.48.101", "2", "3/1"},
		{"refusal", "192.175.48.102", "2", "3/13"},
		{"refusal", "2620:4f:8000:1::101", "10", "1/0"},
		{"refusal", "2620:4f:8000:1::102", "10", "1/1"},
	} {
		r := w.result("run", "--rm", "--quiet", "--answer", "allow", built.image, "python3", "-c", pathSpeaker, c.what, c.to, c.family)
		if strings.TrimSpace(r.out) != c.said {
			t.Errorf("%s of %s: %q, want %q; exit %d, %s", c.what, c.to, r.out, c.said, r.code, r.err)
		}
	}
}
