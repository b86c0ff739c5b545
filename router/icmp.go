package router

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/checksum"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// hopLimit of packets that the router makes itself; neighbours must see 255.
const hopLimit = 255

// newFrame returns a frame from the gateway to the app with size zero bytes of
// payload.
func newFrame(ethertype uint16, size int) []byte {
	frame := make([]byte, ethernetLen+size)
	putEthernet(frame, ethertype)
	return frame
}

func putEthernet(frame []byte, ethertype uint16) {
	copy(frame[:6], appMAC[:])
	copy(frame[6:12], gatewayMAC[:])
	binary.BigEndian.PutUint16(frame[12:14], ethertype)
}

// newIPv4 returns a frame with room for size bytes of payload, and that room.
func newIPv4(src, dst netip.Addr, protocol uint8, size int) (frame, payload []byte) {
	frame = newFrame(etherIPv4, header.IPv4MinimumSize+size)
	ip := header.IPv4(frame[ethernetLen:])
	ip.Encode(&header.IPv4Fields{
		TotalLength: uint16(header.IPv4MinimumSize + size),
		TTL:         hopLimit,
		Protocol:    protocol,
		SrcAddr:     tcpip.AddrFrom4(src.As4()),
		DstAddr:     tcpip.AddrFrom4(dst.As4()),
	})
	ip.SetChecksum(^ip.CalculateChecksum())
	return frame, ip.Payload()
}

func newIPv6(src, dst netip.Addr, protocol tcpip.TransportProtocolNumber, size int) (frame, payload []byte) {
	frame = newFrame(etherIPv6, header.IPv6MinimumSize+size)
	ip := header.IPv6(frame[ethernetLen:])
	ip.Encode(&header.IPv6Fields{
		PayloadLength:     uint16(size),
		TransportProtocol: protocol,
		HopLimit:          hopLimit,
		SrcAddr:           tcpip.AddrFrom16(src.As16()),
		DstAddr:           tcpip.AddrFrom16(dst.As16()),
	})
	return frame, frame[ethernetLen+header.IPv6MinimumSize:]
}

func newICMP4(src, dst netip.Addr, size int, fill func(header.ICMPv4)) []byte {
	frame, payload := newIPv4(src, dst, uint8(header.ICMPv4ProtocolNumber), size)
	icmp := header.ICMPv4(payload)
	fill(icmp)
	icmp.SetChecksum(0)
	icmp.SetChecksum(header.ICMPv4Checksum(icmp, 0))
	return frame
}

func newICMP6(src, dst netip.Addr, size int, fill func(header.ICMPv6)) []byte {
	frame, payload := newIPv6(src, dst, header.ICMPv6ProtocolNumber, size)
	icmp := header.ICMPv6(payload)
	fill(icmp)
	icmp.SetChecksum(0)
	icmp.SetChecksum(header.ICMPv6Checksum(header.ICMPv6ChecksumParams{
		Header: icmp,
		Src:    tcpip.AddrFrom16(src.As16()),
		Dst:    tcpip.AddrFrom16(dst.As16()),
	}))
	return frame
}

// judgeEcho4 answers ping of the gateway, and lets ping of others pass; no other
// ICMP goes anywhere.
func judgeEcho4(packet []byte, dst netip.Addr) verdict {
	ip := header.IPv4(packet)
	icmp := header.ICMPv4(ip.Payload())
	if ip.More() || ip.FragmentOffset() != 0 || len(icmp) < header.ICMPv4MinimumSize || len(icmp) > maxEcho {
		return dropped(dropICMP)
	}
	if icmp.Type() != header.ICMPv4Echo || icmp.Code() != 0 {
		return dropped(dropICMP)
	}
	if dst != gateway4 {
		return verdict{packet: packet, ping: true}
	}
	return verdict{reply: newICMP4(gateway4, appNet4.Addr(), len(icmp), func(out header.ICMPv4) {
		copy(out, icmp)
		out.SetType(header.ICMPv4EchoReply)
	})}
}

func judgeEcho6(packet []byte, dst netip.Addr) verdict {
	icmp := header.ICMPv6(header.IPv6(packet).Payload())
	if len(icmp) < header.ICMPv6EchoMinimumSize || len(icmp) > maxEcho {
		return dropped(dropICMP)
	}
	if icmp.Type() != header.ICMPv6EchoRequest || icmp.Code() != 0 {
		return dropped(dropICMP)
	}
	if dst != gateway6 {
		return verdict{packet: packet, ipv6: true, ping: true}
	}
	return verdict{reply: newICMP6(gateway6, sourceOf(packet), len(icmp), func(out header.ICMPv6) {
		copy(out, icmp)
		out.SetType(header.ICMPv6EchoReply)
	})}
}

// sourceOf is that of an IP packet.
func sourceOf(packet []byte) netip.Addr {
	if header.IPVersion(packet) == header.IPv6Version {
		return netip.AddrFrom16(header.IPv6(packet).SourceAddress().As16())
	}
	return netip.AddrFrom4(header.IPv4(packet).SourceAddress().As4())
}

// maxEcho keeps replies below every MTU.
const maxEcho = 1400

// newDatagram returns a frame with one UDP datagram for the app.
func newDatagram(src, dst netip.AddrPort, data []byte) []byte {
	size := header.UDPMinimumSize + len(data)
	var frame, payload []byte
	if dst.Addr().Is4() {
		frame, payload = newIPv4(src.Addr(), dst.Addr(), uint8(header.UDPProtocolNumber), size)
	} else {
		frame, payload = newIPv6(src.Addr(), dst.Addr(), header.UDPProtocolNumber, size)
	}
	udp := header.UDP(payload)
	udp.Encode(&header.UDPFields{SrcPort: src.Port(), DstPort: dst.Port(), Length: uint16(size)})
	copy(udp.Payload(), data)
	sum := header.PseudoHeaderChecksum(header.UDPProtocolNumber, address(src.Addr()), address(dst.Addr()), uint16(size))
	sum = checksum.Checksum(udp.Payload(), sum)
	if sum = ^udp.CalculateChecksum(sum); sum == 0 {
		sum = 0xffff // zero means "no checksum"
	}
	udp.SetChecksum(sum)
	return frame
}

// address and plain turn addresses into gVisor's and back.
func address(a netip.Addr) tcpip.Address {
	if a.Is4() {
		return tcpip.AddrFrom4(a.As4())
	}
	return tcpip.AddrFrom16(a.As16())
}

func plain(a tcpip.Address) netip.Addr {
	addr, _ := netip.AddrFromSlice(a.AsSlice())
	return addr
}
