package router

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// ARP for IPv4 over Ethernet (RFC 826), fixed size.
const (
	arpLen     = 28
	arpRequest = 1
	arpReply   = 2
)

var arpHead = [6]byte{0, 1, 8, 0, 6, 4} // Ethernet, IPv4, their address lengths

// judgeARP answers the app's questions for the gateway, and nothing else: the
// router keeps no table that an answer could poison.
func judgeARP(b []byte) verdict {
	if len(b) < arpLen || [6]byte(b[:6]) != arpHead || binary.BigEndian.Uint16(b[6:8]) != arpRequest {
		return dropped(dropNeighbour)
	}
	sender, target := netip.AddrFrom4([4]byte(b[14:18])), netip.AddrFrom4([4]byte(b[24:28]))
	if hardware(b[8:14]) != appMAC || sender != appNet4.Addr() || target != gateway4 {
		return dropped(dropNeighbour)
	}
	reply := newFrame(etherARP, arpLen)
	body := reply[ethernetLen:]
	copy(body, arpHead[:])
	binary.BigEndian.PutUint16(body[6:8], arpReply)
	copy(body[8:14], gatewayMAC[:])
	copy(body[14:18], b[24:28])
	copy(body[18:28], b[8:18])
	return verdict{reply: reply}
}

// judgeSolicit answers neighbour solicitations for the gateway (RFC 4861). The
// kernel may ask from its link-local address.
func judgeSolicit(packet []byte, src netip.Addr) verdict {
	ip := header.IPv6(packet)
	icmp := header.ICMPv6(ip.Payload())
	if len(icmp) < header.ICMPv6NeighborSolicitMinimumSize || ip.HopLimit() != header.NDPHopLimit || icmp.Code() != 0 {
		return dropped(dropNeighbour)
	}
	if !isApp(src) && !src.IsLinkLocalUnicast() {
		return dropped(dropNeighbour)
	}
	target := netip.AddrFrom16(header.NDPNeighborSolicit(icmp.MessageBody()).TargetAddress().As16())
	if target != gateway6 && target != gatewayLink6 {
		return dropped(dropNeighbour)
	}
	return verdict{reply: advertise(target, src)}
}

func advertise(target, to netip.Addr) []byte {
	const optionLen = 8 // target link-layer address
	size := header.ICMPv6NeighborAdvertMinimumSize + optionLen
	return newICMP6(target, to, size, func(icmp header.ICMPv6) {
		icmp.SetType(header.ICMPv6NeighborAdvert)
		advert := header.NDPNeighborAdvert(icmp.MessageBody())
		advert.SetRouterFlag(true)
		advert.SetSolicitedFlag(true)
		advert.SetOverrideFlag(true)
		advert.SetTargetAddress(tcpip.AddrFrom16(target.As16()))
		advert.Options().Serialize(header.NDPOptionsSerializer{
			header.NDPTargetLinkLayerAddressOption(gatewayMAC[:]),
		})
	})
}
