//go:build linux

package story

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/attack"
)

// Rows 31 to 41 of the threat table, but for 33 (TestRebinding) and 39
// (TestAFloodStarvesItsOwnApp): from inside a sandbox, by the real agent.
func TestNetworkAttacks(t *testing.T) {
	w := newWorld(t)
	own := w.listens(machinePort)
	self, err := os.Executable()
	must(t, err)
	w.daemon(w.rest, []string{"STORY_ECHO=:443"}, self)
	seen := w.watch()
	for n, p := range attack.NetworkProbes {
		t.Run(fmt.Sprintf("%02d %s", p.Row, p.Name), func(t *testing.T) {
			app := fmt.Sprintf("app%d", n)
			w.want("run", "-d", "--quiet", "--name", app, patienceOf(p), built.image, "sleep", "1000")
			defer w.want("rm", "-f", app)
			w.grant(app, p)
			before := seen()
			report := w.attack(app, p.Name)
			if err := p.Judge(report); err != nil {
				t.Error(err)
			}
			for _, a := range report.Attempts {
				t.Logf("row %d, %s: %s", p.Row, a.Try, a.Result)
			}
			if sent := newPackets(before, seen()); (len(p.Grants) == 0 || p.Row == 34) && len(sent) != 0 {
				t.Errorf("these left the computer: %v", sent)
			}
			if n := own(); n != 0 {
				t.Errorf("a server of this computer was reached %d times", n)
			}
			w.want("revoke", "--all")
		})
	}
	t.Run("what the world has seen", w.judgeWorld)
	if after := w.command(w.machine, "curl", "-sS", "-m", "20", "http://"+webName+"/").wait(); after.code != 0 || len(seen()) == 0 || own() != 0 {
		t.Errorf("the watch saw %v of a connection of the user's: this test shows nothing", seen())
	}
	if r := w.command(w.machine, "curl", "-sS", "-m", "2", fmt.Sprintf("http://127.0.0.1:%d/", machinePort)).wait(); own() != 1 {
		t.Errorf("the server of this computer does not count: %s", r.err)
	}
}

// machinePort is where a server of the user's computer listens.
const machinePort = 8181

func patienceOf(p attack.Probe) string {
	if p.Name == "held" {
		return "--hold=8s"
	}
	return "--no-input"
}

func (w *world) grant(app string, p attack.Probe) {
	w.t.Helper()
	words := strings.NewReplacer(attack.GrantedHost, webName, attack.GrantedAddr, worldAddr)
	for _, target := range p.Grants {
		w.want("allow", app, "net.connect", words.Replace(target))
	}
}

// attack runs a probe inside a running app.
func (w *world) attack(app, name string, more ...string) attack.Report {
	w.t.Helper()
	r := w.result(append([]string{"exec", app, attack.ProbePath, name, "host=" + webName, "other=" + otherName, "addr4=" + worldAddr, "addr6=" + worldAddr6,
		"machine=" + machineAddr, fmt.Sprintf("port=%d", machinePort)}, more...)...)
	attempts, err := attack.Parse([]byte(r.out))
	must(w.t, err)
	report := attack.Report{Attempts: attempts, Stderr: r.err}
	report.Exit.Code = r.code
	return report
}

// judgeWorld looks at what servers were told, over all probes.
func (w *world) judgeWorld(t *testing.T) {
	if paths := w.paths(); slices.Contains(paths, "/names") != (len(paths) > 0) || !slices.Contains(paths, "/forms") {
		t.Errorf("requests: %v", paths)
	}
	if raw, err := os.ReadFile(w.hits + ".hosts"); err != nil || strings.Contains(string(raw), otherName) {
		t.Errorf("the web server was asked for the hosts %q, %v", raw, err)
	}
	if raw, err := os.ReadFile(w.hits + ".proxy"); err == nil {
		t.Errorf("the proxy was asked for %q", raw)
	}
	for line := range strings.Lines(w.want("log", "--json")) {
		if strings.Contains(line, "net.connect") && (strings.Contains(line, strings.ToUpper(webName)) || strings.Contains(line, "0x") || strings.Contains(line, webName+".:")) {
			t.Errorf("a name in another form was asked about: %s", line)
		}
	}
}

// watch notes every packet that arrives in the world, but for those that find
// neighbours, and returns a count of each kind.
func (w *world) watch() func() map[string]int {
	w.t.Helper()
	self, err := os.Executable()
	must(w.t, err)
	card := strings.TrimSuffix(w.rest, "w") + "b"
	file := filepath.Join(w.home, "packets")
	w.daemon(w.rest, []string{"STORY_WATCH=" + card, "STORY_WATCH_FILE=" + file}, self)
	read := func() map[string]int {
		raw, _ := os.ReadFile(file)
		counts := map[string]int{}
		for line := range strings.Lines(string(raw)) {
			counts[strings.TrimSpace(line)]++
		}
		return counts
	}
	w.until("the watch runs", func() bool { return read()["ready"] == 1 })
	return func() map[string]int {
		time.Sleep(100 * time.Millisecond) // for the watch to write
		counts := read()
		delete(counts, "ready")
		return counts
	}
}

func newPackets(before, after map[string]int) (kinds []string) {
	for kind, n := range after {
		if n > before[kind] {
			kinds = append(kinds, fmt.Sprintf("%d × %s", n-before[kind], kind))
		}
	}
	return kinds
}

// serveEcho gives back what it gets: whoever says a word is answered.
func serveEcho(at string) error {
	l, err := net.Listen("tcp", at)
	if err != nil {
		return err
	}
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		go func() {
			defer conn.Close()
			io.Copy(conn, conn)
		}()
	}
}

// watchCard is the watch's own process.
func watchCard(card string) error {
	const every = 0x0300 // ETH_P_ALL in network order
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM, every)
	if err != nil {
		return err
	}
	ifc, err := net.InterfaceByName(card)
	if err != nil {
		return err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: every, Ifindex: ifc.Index}); err != nil {
		return err
	}
	file := os.Getenv("STORY_WATCH_FILE")
	note(file, "ready")
	for buf := make([]byte, 65536); ; {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		if err != nil {
			return err
		}
		if link, ok := from.(*unix.SockaddrLinklayer); !ok || link.Pkttype == unix.PACKET_OUTGOING {
			continue
		}
		if what := describe(buf[:n]); what != "" {
			note(file, what)
		}
	}
}

// describe names protocol and destination of a packet; neighbour discovery, and
// what is not IP, is nothing.
func describe(p []byte) string {
	var protocol byte
	var dst netip.Addr
	var rest []byte
	switch {
	case len(p) >= 20 && p[0]>>4 == 4:
		protocol, rest = p[9], p[20:]
		dst = netip.AddrFrom4([4]byte(p[16:20]))
	case len(p) >= 40 && p[0]>>4 == 6:
		protocol, rest = p[6], p[40:]
		dst = netip.AddrFrom16([16]byte(p[24:40]))
		if protocol == unix.IPPROTO_ICMPV6 || protocol == 0 {
			return ""
		}
	default:
		return ""
	}
	if len(rest) < 4 {
		return fmt.Sprintf("protocol %d to %s", protocol, dst)
	}
	return fmt.Sprintf("protocol %d to %s port %d", protocol, dst, binary.BigEndian.Uint16(rest[2:]))
}

// listens counts the connections to a port of the machine, on all its addresses.
func (w *world) listens(port int) (count func() int) {
	const accept = `import socket, sys
s = socket.create_server(("", int(sys.argv[1])), family=socket.AF_INET6, dualstack_ipv6=True)
print("ready", flush=True)
while True:
    c, _ = s.accept(); print("hit", flush=True); c.close()`
	log := filepath.Join(w.home, "python3.log")
	w.daemon(w.machine, nil, "python3", "-c", accept, fmt.Sprint(port))
	read := func(word string) int {
		raw, _ := os.ReadFile(log)
		return bytes.Count(raw, []byte(word))
	}
	w.until("the listener is ready", func() bool { return read("ready") == 1 })
	return func() int { return read("hit") }
}
