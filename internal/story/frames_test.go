//go:build linux

package story

import (
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// Row 37: frames that no kernel sends, on the card of a running app. The app
// cannot write them itself (attack.NetworkProbes shows that), so root of the
// machine does, from inside the app's network. Each is dropped, counted by reason
// and shown; nothing leaves, and the app and its open connections go on.
func TestMalformedFrames(t *testing.T) {
	w := newWorld(t)
	const mark = "987654"
	w.want("run", "-d", "--quiet", "--name", "app", "--no-input", built.image, "sleep", mark)
	w.want("allow", "app", "net.connect", webTarget)
	open := w.start("exec", "app", "curl", "-4sS", "-N", "-m", "60", "http://"+webName+"/slow")
	w.until("a connection is open", func() bool { return len(open.out.String()) > 0 })
	seen := w.watch()
	before, already := seen(), w.drops("app")
	self, err := os.Executable()
	must(t, err)
	const times = 50
	want := map[string]uint64{}
	for name := range hostileFrames() {
		reason, _, _ := strings.Cut(name, ":")
		want[reason] += times
	}
	counted := func() bool {
		now := w.drops("app")
		for reason, n := range want {
			if now[reason]-already[reason] < n {
				return false
			}
		}
		return true
	}
	// The card's queue takes so many at a time, and loses the rest before the router
	// has them: then they are sent once more.
	for rounds := 0; !counted(); rounds++ {
		if rounds == 20 {
			t.Fatalf("counted are %v, want %v", w.drops("app"), want)
		}
		inject := w.command(w.machine, "env", fmt.Sprintf("STORY_FRAMES=%d", w.processOf("sleep", mark)), "STORY_TIMES="+strconv.Itoa(times), self).wait()
		if inject.code != 0 {
			t.Fatalf("%s%s", inject.out, inject.err)
		}
		for range 50 {
			if time.Sleep(20 * time.Millisecond); counted() {
				break
			}
		}
	}
	t.Logf("dropped: %v", w.drops("app"))
	table := w.want("stats", "app")
	for reason, n := range want {
		shown := regexp.MustCompile(`\b` + reason + ` (\d+)`).FindStringSubmatch(table)
		if shown == nil {
			t.Errorf("%s is not shown:\n%s", reason, table)
			continue
		}
		// The app's own kernel adds to some.
		if got, err := strconv.ParseUint(shown[1], 10, 64); err != nil || got < n+already[reason] {
			t.Errorf("%s: %d are shown, want %d", reason, got, n+already[reason])
		}
	}
	soFar := len(open.out.String())
	w.until("the open connection goes on", func() bool { return len(open.out.String()) > soFar })
	for kind := range seen() {
		if before[kind] == 0 {
			t.Errorf("this left the computer: %s", kind)
		}
	}
	if r := w.result("exec", "app", "curl", "-4sS", "-m", "20", "http://"+webName+"/"); r.code != 0 {
		t.Errorf("a new connection: %s", r.err)
	}
	open.cmd.Process.Kill()
	open.wait()
}

func (w *world) drops(app string) map[string]uint64 {
	w.t.Helper()
	var stats []api.RunStats
	must(w.t, json.Unmarshal([]byte(w.want("stats", app, "--json")), &stats))
	if len(stats) != 1 || stats[0].Network == nil {
		w.t.Fatalf("stats: %+v", stats)
	}
	return stats[0].Network.Drops
}

// processOf is the id, on the machine, of the process with that command line.
func (w *world) processOf(line ...string) (pid int) {
	w.t.Helper()
	w.until(strings.Join(line, " ")+" runs", func() bool {
		all, _ := filepath.Glob("/proc/[0-9]*/cmdline")
		for _, path := range all {
			raw, _ := os.ReadFile(path)
			if strings.TrimSuffix(string(raw), "\x00") == strings.Join(line, "\x00") {
				pid, _ = strconv.Atoi(filepath.Base(filepath.Dir(path)))
				return true
			}
		}
		return false
	})
	return pid
}

// injectFrames is the process that writes every hostile frame so many times to the
// card of the process pid.
func injectFrames(pid, times string) error {
	n, err := strconv.Atoi(times)
	if err != nil {
		return err
	}
	runtime.LockOSThread() // and never unlock
	netns, err := unix.Open("/proc/"+pid+"/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	if err := unix.Setns(netns, unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	card, err := net.InterfaceByName(sandbox.LinkDevice)
	if err != nil {
		return err
	}
	for name, frame := range hostileFrames() {
		for range n {
			if err := unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: card.Index}); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// hostileFrames are by the reason for which they are dropped, and what they are.
func hostileFrames() map[string][]byte {
	app, gateway := macOf(sandbox.AppMAC), macOf(sandbox.GatewayMAC)
	ethernet := func(dst, src []byte, kind uint16, payload []byte) []byte {
		return append(binary.BigEndian.AppendUint16(slices.Concat(dst, src), kind), payload...)
	}
	frame := func(kind uint16, payload []byte) []byte { return ethernet(gateway, app, kind, payload) }
	const v4, v6, arp = 0x0800, 0x86dd, 0x0806
	world, own := net.ParseIP(worldAddr), net.IPv4(10, 0, 2, 15)
	world6, own6 := net.ParseIP(worldAddr6), net.ParseIP("fd00:c0de::15")
	syn := []byte{0x9c, 0x40, 0, 80, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, 2, 0xff, 0xff, 0, 0, 0, 0}
	udp := func(port uint16, data ...byte) []byte {
		b := binary.BigEndian.AppendUint16([]byte{0x9c, 0x40}, port)
		return append(append(binary.BigEndian.AppendUint16(b, uint16(8+len(data))), 0, 0), data...)
	}
	edit := func(b []byte, at int, value ...byte) []byte {
		copy(b[at:], value)
		return b
	}
	mapped := append(make([]byte, 10), 0xff, 0xff, 127, 0, 0, 1)
	allF := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	return map[string][]byte{
		"header: nothing behind Ethernet":     frame(v4, nil),
		"header: 19 bytes":                    frame(v4, ipv4(6, own, world, nil)[:19]),
		"header: IHL beyond the packet":       frame(v4, edit(ipv4(6, own, world, syn), 0, 0x4f)),
		"header: IHL of 4":                    frame(v4, edit(ipv4(6, own, world, syn), 0, 0x44)),
		"header: version 7":                   frame(v4, edit(ipv4(6, own, world, syn), 0, 0x75)),
		"header: longer than the frame":       frame(v4, edit(ipv4(6, own, world, syn), 2, 0xff, 0xff)),
		"header: total length 0":              frame(v4, edit(ipv4(6, own, world, syn), 2, 0, 0)),
		"header: IPv6 in pieces":              frame(v6, ipv6(6, own6, world6, syn)[:39]),
		"header: IPv6 longer than the frame":  frame(v6, edit(ipv6(6, own6, world6, syn), 4, 0xff, 0xff)),
		"header: a jumbogram":                 frame(v6, edit(ipv6(0, own6, world6, syn), 4, 0, 0)),
		"ethertype: LLDP":                     frame(0x88cc, syn),
		"ethertype: a VLAN in a VLAN":         frame(0x88a8, slices.Concat([]byte{0, 1, 0x81, 0, 0, 2, 8, 0}, ipv4(6, own, world, syn))),
		"ethertype: a length":                 frame(46, make([]byte, 46)),
		"mac: another card's":                 ethernet(gateway, edit(slices.Clone(app), 5, 0x99), v4, ipv4(6, own, world, syn)),
		"mac: to another card":                ethernet(edit(slices.Clone(gateway), 5, 0x99), app, v4, ipv4(6, own, world, syn)),
		"mac: from everybody":                 ethernet(gateway, allF, v4, ipv4(6, own, world, syn)),
		"spoofed: another's address":          frame(v4, ipv4(6, net.IPv4(10, 0, 2, 77), world, syn)),
		"spoofed: the gateway's":              frame(v4, ipv4(6, net.IPv4(10, 0, 2, 2), world, syn)),
		"spoofed: another's IPv6":             frame(v6, ipv6(6, net.ParseIP("fd00:c0de::77"), world6, syn)),
		"destination: loopback":               frame(v4, ipv4(6, own, net.IPv4(127, 0, 0, 1), syn)),
		"destination: metadata":               frame(v4, ipv4(6, own, net.IPv4(169, 254, 169, 254), syn)),
		"destination: itself (LAND)":          frame(v4, ipv4(6, own, own, syn)),
		"destination: loopback6":              frame(v6, ipv6(6, own6, net.IPv6loopback, syn)),
		"destination: mapped loopback":        frame(v6, edit(ipv6(6, own6, world6, syn), 24, mapped...)),
		"multicast: mDNS":                     frame(v4, ipv4(17, own, net.IPv4(224, 0, 0, 251), udp(5353))),
		"multicast: to every card":            ethernet(allF, app, v4, ipv4(6, own, world, syn)),
		"protocol: GRE":                       frame(v4, ipv4(47, own, world, syn)),
		"protocol: IPv4 in IPv4":              frame(v4, ipv4(4, own, world, ipv4(6, own, world, syn))),
		"protocol: SCTP":                      frame(v4, ipv4(132, own, world, syn)),
		"protocol: a hop-by-hop header":       frame(v6, ipv6(0, own6, world6, append([]byte{6, 0, 1, 4, 0, 0, 0, 0}, syn...))),
		"protocol: a routing header":          frame(v6, ipv6(43, own6, world6, append([]byte{6, 0, 0, 0, 0, 0, 0, 0}, syn...))),
		"protocol: a fragment of one":         frame(v6, ipv6(44, own6, world6, append([]byte{43, 0, 0, 1, 0, 0, 0, 7}, syn...))),
		"neighbour: an ARP answer":            frame(arp, slices.Concat([]byte{0, 1, 8, 0, 6, 4, 0, 2}, app, []byte{10, 0, 2, 2}, gateway, []byte{10, 0, 2, 15})),
		"neighbour: a short ARP":              frame(arp, []byte{0, 1, 8, 0, 6, 4, 0, 1}),
		"neighbour: a solicitation from afar": frame(v6, edit(ipv6(58, own6, net.ParseIP("fd00:c0de::2"), append([]byte{135, 0, 0, 0, 0, 0, 0, 0}, net.ParseIP("fd00:c0de::2")...)), 7, 64)),
		"icmp: a router advertisement":        frame(v6, ipv6(58, own6, net.ParseIP("fd00:c0de::2"), make16(134))),
		"icmp: a redirect":                    frame(v4, ipv4(1, own, world, make16(5))),
		"icmp: an echo in fragments":          frame(v4, edit(ipv4(1, own, world, make16(8)), 6, 0x20, 0)),
		"dhcp: a message of 8 bytes":          frame(v4, ipv4(17, own, net.IPv4(10, 0, 2, 2), edit(udp(67, make([]byte, 8)...), 0, 0, 68))),
		"dns: a question of 3 bytes":          frame(v4, ipv4(17, own, net.IPv4(10, 0, 2, 2), udp(53, 1, 2, 3))),
	}
}

func make16(kind byte) []byte { return append([]byte{kind}, make([]byte, 15)...) }

func macOf(text string) []byte {
	raw, err := hex.DecodeString(strings.ReplaceAll(text, ":", ""))
	if err != nil {
		panic(err)
	}
	return raw
}

func ipv4(protocol byte, src, dst net.IP, payload []byte) []byte {
	b := []byte{0x45, 0, 0, 0, 0, 1, 0, 0, 64, protocol, 0, 0}
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(payload)))
	b = slices.Concat(b, src.To4(), dst.To4())
	sum := uint32(0)
	for i := 0; i < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	binary.BigEndian.PutUint16(b[10:], ^uint16(sum+sum>>16))
	return append(b, payload...)
}

func ipv6(next byte, src, dst net.IP, payload []byte) []byte {
	b := []byte{0x60, 0, 0, 0, 0, 0, next, 255}
	binary.BigEndian.PutUint16(b[4:], uint16(len(payload)))
	return slices.Concat(b, src.To16(), dst.To16(), payload)
}
