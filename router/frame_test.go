package router

import (
	"net/netip"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/consentry/consentry/sandbox"
)

// goodSYN is a whole frame of the app's card with a SYN for port 80, whose
// source may be a lie.
func goodSYN(src, dst netip.Addr) []byte {
	var frame, payload []byte
	if src.Is4() {
		frame, payload = newIPv4(src, dst, uint8(header.TCPProtocolNumber), header.TCPMinimumSize)
	} else {
		frame, payload = newIPv6(src, dst, header.TCPProtocolNumber, header.TCPMinimumSize)
	}
	fromApp(frame)
	tcp := header.TCP(payload)
	tcp.Encode(&header.TCPFields{SrcPort: 40000, DstPort: 80, SeqNum: 1, DataOffset: header.TCPMinimumSize, Flags: header.TCPFlagSyn, WindowSize: 65535})
	tcp.SetChecksum(^tcp.CalculateChecksum(header.PseudoHeaderChecksum(header.TCPProtocolNumber, address(src), address(dst), header.TCPMinimumSize)))
	return frame
}

// fromApp turns a frame of the gateway round.
func fromApp(frame []byte) {
	copy(frame[:6], gatewayMAC[:])
	copy(frame[6:12], appMAC[:])
}

func TestJudge(t *testing.T) {
	app4, app6 := appNet4.Addr(), appNet6.Addr()
	out4, out6 := netip.MustParseAddr("1.1.1.1"), netip.MustParseAddr("2606:4700::1111")
	edit := func(frame []byte, at int, b ...byte) []byte {
		copy(frame[at:], b)
		return frame
	}
	ask := func(target netip.Addr, from hardware) []byte {
		frame := newFrame(etherARP, arpLen)
		fromApp(frame)
		body := frame[ethernetLen:]
		copy(body, arpHead[:])
		body[7] = arpRequest
		copy(body[8:], from[:])
		copy(body[14:], app4.AsSlice())
		copy(body[24:], target.AsSlice())
		return frame
	}
	for _, c := range []struct {
		name  string
		frame []byte
		why   reason
	}{
		{"nothing", nil, dropShort},
		{"4 bytes", make([]byte, 4), dropShort},
		{"13 bytes", make([]byte, 13), dropShort},
		{"too long", make([]byte, maxFrame+1), dropLong},
		{"no IP", edit(goodSYN(app4, out4), 0)[:ethernetLen], dropHeader},
		{"cut IP", goodSYN(app4, out4)[:ethernetLen+19], dropHeader},
		{"IPv4", goodSYN(app4, out4), dropNone},
		{"IPv6", goodSYN(app6, out6), dropNone},
		{"IPv4 to a private address", goodSYN(app4, netip.MustParseAddr("192.168.0.1")), dropNone},
		{"another card", edit(goodSYN(app4, out4), 11, 0x99), dropMAC},
		{"to another card", edit(goodSYN(app4, out4), 5, 0x99), dropMAC},
		{"spoofed IPv4", goodSYN(out4, out4), dropSpoofed},
		{"spoofed IPv6", goodSYN(out6, out6), dropSpoofed},
		{"link-local IPv6", goodSYN(netip.MustParseAddr("fe80::1"), out6), dropSpoofed},
		{"to itself", goodSYN(app4, app4), dropDestination},
		{"to loopback", goodSYN(app4, netip.MustParseAddr("127.0.0.1")), dropDestination},
		{"to ::1", goodSYN(app6, netip.IPv6Loopback()), dropDestination},
		{"to 0.0.0.0", goodSYN(app4, netip.IPv4Unspecified()), dropDestination},
		{"to link-local", goodSYN(app4, netip.MustParseAddr("169.254.169.254")), dropDestination},
		{"to IPv4-mapped", goodSYN(app6, netip.MustParseAddr("::ffff:1.1.1.1")), dropDestination},
		{"to IPv4-compatible", goodSYN(app6, netip.MustParseAddr("::1.1.1.1")), dropDestination},
		{"to 240.0.0.1", goodSYN(app4, netip.MustParseAddr("240.0.0.1")), dropDestination},
		{"multicast", goodSYN(app4, netip.MustParseAddr("224.0.0.251")), dropMulticast},
		{"multicast IPv6", goodSYN(app6, netip.MustParseAddr("ff02::fb")), dropMulticast},
		{"broadcast", goodSYN(app4, netip.MustParseAddr("10.0.2.255")), dropMulticast},
		{"Ethernet broadcast", edit(goodSYN(app4, out4), 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), dropMulticast},
		{"GRE", edit(goodSYN(app4, out4), ethernetLen+9, 47), dropProtocol},
		{"hop-by-hop options", edit(goodSYN(app6, out6), ethernetLen+6, 0), dropProtocol},
		{"routing header", edit(goodSYN(app6, out6), ethernetLen+6, 43), dropProtocol},
		{"ARP for the gateway", ask(gateway4, appMAC), dropNone},
		{"ARP for another", ask(netip.MustParseAddr("10.0.2.3"), appMAC), dropNeighbour},
		{"ARP as another", ask(gateway4, gatewayMAC), dropNeighbour},
		{"short ARP", ask(gateway4, appMAC)[:ethernetLen+27], dropNeighbour},
	} {
		if v := judge(c.frame); v.why != c.why || (c.why == dropNone) != (v.packet != nil || v.reply != nil) {
			t.Errorf("%s: %q, want %q", c.name, reasonNames[v.why], reasonNames[c.why])
		}
	}
}

// FuzzFrame: whatever comes, a frame that passes is the app's own, lies within
// the frame, and a reply goes to the app.
func FuzzFrame(f *testing.F) {
	f.Add(goodSYN(appNet4.Addr(), netip.MustParseAddr("1.1.1.1")))
	f.Add(goodSYN(appNet6.Addr(), netip.MustParseAddr("2606:4700::1111")))
	f.Add(make([]byte, 13))
	arp := newFrame(etherARP, arpLen)
	fromApp(arp)
	f.Add(arp)
	r, err := New(Config{Link: sink{}, Broker: &fakeBroker{dial: refusing(sandbox.ErrDenied)}})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { r.shutDown(func() {}) })
	f.Fuzz(func(t *testing.T, frame []byte) {
		v := judge(frame)
		switch {
		case v.packet != nil && !v.ipv6 && header.IPv4(v.packet).SourceAddress() != address(appNet4.Addr()),
			v.packet != nil && v.ipv6 && header.IPv6(v.packet).SourceAddress() != address(appNet6.Addr()):
			t.Error("a forged source passed")
		case v.reply != nil && hardware(v.reply[:6]) != appMAC:
			t.Error("a reply goes elsewhere")
		case v.packet == nil && v.reply == nil && v.why == dropNone:
			t.Error("dropped without a reason")
		}
		r.handleFrame(frame) // and the stack behind must stand it
	})
}

// sink is a link that takes everything and says nothing.
type sink struct{}

func (sink) ReadFrame([]byte) (int, error) { select {} }
func (sink) WriteFrame([]byte) error       { return nil }
func (sink) Close() error                  { return nil }
