package router

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// dhcpFrom is a whole frame of a DHCP client.
func dhcpFrom(src, dst netip.Addr, card hardware, options ...byte) []byte {
	message := make([]byte, dhcpHead, dhcpSize)
	message[0], message[1], message[2] = dhcpRequest, 1, 6
	copy(message[4:], "xid!")
	if src == appNet4.Addr() {
		copy(message[12:], src.AsSlice())
	}
	copy(message[28:], card[:])
	message = binary.BigEndian.AppendUint32(message, dhcpCookie)
	message = append(message, options...)
	frame := newDatagram(netip.AddrPortFrom(src, dhcpClientPort), netip.AddrPortFrom(dst, dhcpServerPort), message)
	fromApp(frame)
	if isBroadcast(dst) {
		copy(frame, bytes.Repeat([]byte{0xff}, 6))
	}
	return frame
}

var (
	anyone   = netip.AddrFrom4([4]byte{255, 255, 255, 255})
	nobodyIP = netip.IPv4Unspecified()
)

func option(kind byte, value ...byte) []byte { return append([]byte{kind, byte(len(value))}, value...) }

func TestDHCP(t *testing.T) {
	own, other := appNet4.Addr().AsSlice(), []byte{10, 0, 2, 77}
	says := func(message dhcpMessage, more ...[]byte) []byte {
		return append(slices.Concat(append([][]byte{option(optMessage, byte(message))}, more...)...), dhcpEnd)
	}
	for _, c := range []struct {
		name    string
		src     netip.Addr
		dst     netip.Addr
		options []byte
		want    dhcpMessage // 0: no answer
		lease   bool
		to      netip.Addr
	}{
		{"discover", nobodyIP, anyone, says(dhcpDiscover), dhcpOffer, true, anyone},
		{"request", nobodyIP, anyone, says(dhcpAsk, option(optRequested, own...), option(optServer, gateway4.AsSlice()...)), dhcpACK, true, anyone},
		{"request of another address", nobodyIP, anyone, says(dhcpAsk, option(optRequested, other...)), dhcpNAK, false, anyone},
		{"request to another server", nobodyIP, anyone, says(dhcpAsk, option(optRequested, own...), option(optServer, other...)), 0, false, anyone},
		{"renewal", appNet4.Addr(), gateway4, says(dhcpAsk), dhcpACK, true, appNet4.Addr()},
		{"inform", appNet4.Addr(), anyone, says(dhcpInform), dhcpACK, false, appNet4.Addr()},
		{"release", appNet4.Addr(), gateway4, says(dhcpRelease), 0, false, anyone},
		{"decline", nobodyIP, anyone, says(dhcpDecline, option(optRequested, own...)), 0, false, anyone},
		{"an offer of the app's", nobodyIP, anyone, says(dhcpOffer), 0, false, anyone},
		{"no message type", nobodyIP, anyone, []byte{dhcpPad, dhcpEnd}, 0, false, anyone},
		{"an option beyond the end", nobodyIP, anyone, []byte{optMessage, 1, 1, optRequested, 200, 1}, 0, false, anyone},
	} {
		v := judge(dhcpFrom(c.src, c.dst, appMAC, c.options...))
		if c.want == 0 {
			if v.reply != nil || v.why != dropDHCP {
				t.Errorf("%s: answered, or dropped as %q", c.name, reasonNames[v.why])
			}
			continue
		}
		if v.reply == nil {
			t.Errorf("%s: no answer but %q", c.name, reasonNames[v.why])
			continue
		}
		ip := header.IPv4(v.reply[ethernetLen:])
		message := header.UDP(ip.Payload()).Payload()
		wish, ok := readDHCP(message[dhcpHead+4:])
		leased := bytes.Equal(message[16:20], own)
		if !ok || wish.message != c.want || wish.server != gateway4 || leased != c.lease ||
			plain(ip.DestinationAddress()) != c.to || string(message[4:8]) != "xid!" || hardware(message[28:34]) != appMAC {
			t.Errorf("%s: answer %+v, leased %v, to %v", c.name, wish, leased, ip.DestinationAddress())
		}
	}
}

// TestDHCPSpoofing: who is not the app's card gets nothing, and the app is no
// server to anybody.
func TestDHCPSpoofing(t *testing.T) {
	discover := append(option(optMessage, byte(dhcpDiscover)), dhcpEnd)
	asServer := dhcpFrom(nobodyIP, anyone, appMAC, discover...)
	asServer[ethernetLen+header.IPv4MinimumSize+header.UDPMinimumSize] = dhcpReply
	fromServerPort := dhcpFrom(appNet4.Addr(), anyone, appMAC, discover...)
	binary.BigEndian.PutUint16(fromServerPort[ethernetLen+header.IPv4MinimumSize:], dhcpServerPort)
	cut := dhcpFrom(nobodyIP, anyone, appMAC, discover...)
	binary.BigEndian.PutUint16(cut[ethernetLen+header.IPv4MinimumSize+4:], 2000)
	for name, c := range map[string]struct {
		frame []byte
		why   reason
	}{
		"another card":     {dhcpFrom(nobodyIP, anyone, gatewayMAC, discover...), dropDHCP},
		"another source":   {dhcpFrom(netip.MustParseAddr("10.0.2.77"), anyone, appMAC, discover...), dropSpoofed},
		"elsewhere":        {dhcpFrom(nobodyIP, netip.MustParseAddr("1.1.1.1"), appMAC, discover...), dropSpoofed},
		"as a server":      {asServer, dropDHCP},
		"from that port":   {fromServerPort, dropMulticast},
		"longer than told": {cut, dropDHCP},
	} {
		if v := judge(c.frame); v.reply != nil || v.packet != nil || v.why != c.why {
			t.Errorf("%s: reply %v, dropped as %q, want %q", name, v.reply != nil, reasonNames[v.why], reasonNames[c.why])
		}
	}
}

// FuzzDHCP: no message makes the server say anything but its one lease, or say
// it to another card.
func FuzzDHCP(f *testing.F) {
	f.Add(append(option(optMessage, byte(dhcpDiscover)), dhcpEnd))
	f.Add(append(append(option(optMessage, byte(dhcpAsk)), option(optRequested, 10, 0, 2, 15)...), dhcpEnd))
	f.Add([]byte{dhcpPad, optServer, 255, 1})
	f.Fuzz(func(t *testing.T, options []byte) {
		if len(options) > maxDHCP {
			return
		}
		v := judge(dhcpFrom(nobodyIP, anyone, appMAC, options...))
		if v.reply == nil {
			return
		}
		message := header.UDP(header.IPv4(v.reply[ethernetLen:]).Payload()).Payload()
		yours := netip.AddrFrom4([4]byte(message[16:20]))
		if yours != appNet4.Addr() && !yours.IsUnspecified() || hardware(v.reply[:6]) != appMAC || len(message) != dhcpSize {
			t.Errorf("leased %v", yours)
		}
	})
}
