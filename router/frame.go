package router

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// verdict is what becomes of one frame: a packet for the stack, a frame to
// answer with, or nothing and a reason.
type verdict struct {
	why    reason
	packet []byte // part of the frame, an IP packet that holds TCP, UDP or a ping
	ipv6   bool
	ping   bool // an echo request, not for the stack
	reply  []byte

	solicited bool // the reply is an advertisement, to be repeated
}

func dropped(why reason) verdict { return verdict{why: why} }

// Ethernet types.
const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd
)

// judge looks at one frame of the app. It is pure; the frame is not changed.
func judge(frame []byte) verdict {
	if len(frame) < ethernetLen {
		return dropped(dropShort)
	}
	return judgeSplit([ethernetLen]byte(frame), frame[ethernetLen:])
}

// judgeSplit is judge for a frame that was read in two parts.
func judgeSplit(ethernet [ethernetLen]byte, payload []byte) verdict {
	if len(payload) > maxPacket {
		return dropped(dropLong)
	}
	if hardware(ethernet[6:12]) != appMAC {
		return dropped(dropMAC)
	}
	group := ethernet[0]&1 != 0 // broadcast and multicast
	if !group && hardware(ethernet[:6]) != gatewayMAC {
		return dropped(dropMAC)
	}
	switch binary.BigEndian.Uint16(ethernet[12:14]) {
	case etherARP:
		return judgeARP(payload)
	case etherIPv4:
		return judgeIPv4(payload, group)
	case etherIPv6:
		return judgeIPv6(payload, group)
	}
	return dropped(dropEthertype)
}

func judgeIPv4(b []byte, group bool) verdict {
	ip := header.IPv4(b)
	if len(b) < header.IPv4MinimumSize || !ip.IsValid(len(b)) {
		return dropped(dropHeader)
	}
	src, dst := netip.AddrFrom4(ip.SourceAddress().As4()), netip.AddrFrom4(ip.DestinationAddress().As4())
	if isDHCP(ip[:ip.TotalLength()], src, dst) {
		return judgeDHCP(ip[:ip.TotalLength()].Payload())
	}
	if src != appNet4.Addr() {
		return dropped(dropSpoofed)
	}
	if why := judgeDestination(dst, group); why != dropNone {
		return dropped(why)
	}
	packet := b[:ip.TotalLength()]
	switch ip.Protocol() {
	case uint8(header.TCPProtocolNumber), uint8(header.UDPProtocolNumber):
		return verdict{packet: packet}
	case uint8(header.ICMPv4ProtocolNumber):
		return judgeEcho4(packet, dst)
	}
	return dropped(dropProtocol)
}

// judgeIPv6 takes TCP, UDP and their fragments. Other extension headers have
// no use here and a long history of parser bugs.
func judgeIPv6(b []byte, group bool) verdict {
	ip := header.IPv6(b)
	if len(b) < header.IPv6MinimumSize || !ip.IsValid(len(b)) || ip.PayloadLength() == 0 {
		return dropped(dropHeader)
	}
	packet := b[:header.IPv6MinimumSize+int(ip.PayloadLength())]
	next, payload := ip.NextHeader(), packet[header.IPv6MinimumSize:]
	src, dst := netip.AddrFrom16(ip.SourceAddress().As16()), netip.AddrFrom16(ip.DestinationAddress().As16())
	if next == uint8(header.ICMPv6ProtocolNumber) && len(payload) > 0 {
		switch header.ICMPv6(payload).Type() {
		case header.ICMPv6NeighborSolicit:
			return judgeSolicit(packet, src)
		case header.ICMPv6RouterSolicit:
			return judgeRouterSolicit(packet, src, dst)
		}
	}
	if !isApp(src) {
		return dropped(ownNoise(src, dst))
	}
	if why := judgeDestination(dst, group); why != dropNone {
		return dropped(why)
	}
	if next == uint8(header.IPv6FragmentHeader) && len(payload) >= header.IPv6FragmentHeaderSize {
		next = payload[0]
		if next == uint8(header.ICMPv6ProtocolNumber) {
			return dropped(dropICMP)
		}
	}
	switch next {
	case uint8(header.TCPProtocolNumber), uint8(header.UDPProtocolNumber):
		return verdict{packet: packet, ipv6: true}
	case uint8(header.ICMPv6ProtocolNumber):
		return judgeEcho6(packet, dst)
	}
	return dropped(dropProtocol)
}

// ownNoise tells what every Linux card says by itself (listener reports) from a forged source.
func ownNoise(src, dst netip.Addr) reason {
	if dst.IsMulticast() && (src.IsUnspecified() || src.IsLinkLocalUnicast()) {
		return dropMulticast
	}
	return dropSpoofed
}

// judgeDestination refuses what no router forwards. What kind of place an
// address is beyond that, the Broker judges.
func judgeDestination(dst netip.Addr, group bool) reason {
	switch {
	case group, dst.IsMulticast(), isBroadcast(dst):
		return dropMulticast
	case dst.Is4In6(), dst.IsUnspecified(), dst.IsLoopback(), dst.IsLinkLocalUnicast(), isApp(dst), isReserved(dst):
		return dropDestination
	}
	return dropNone
}

func isBroadcast(dst netip.Addr) bool {
	return dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || dst == netip.AddrFrom4([4]byte{10, 0, 2, 255})
}

// isReserved holds for 0.0.0.0/8, 240.0.0.0/4, and IPv4-compatible IPv6.
func isReserved(dst netip.Addr) bool {
	if dst.Is4() {
		first := dst.As4()[0]
		return first == 0 || first >= 240
	}
	raw := dst.As16()
	return [12]byte(raw[:12]) == [12]byte{}
}
