package router

import (
	"encoding/binary"
	"net/netip"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// DHCP for IPv4 (RFC 2131): an app that brings a client of its own gets the one
// lease there is. The server keeps no state, as there is nothing to choose:
//
//	app                         router
//	 | DISCOVER  0.0.0.0 → all     |
//	 | --------------------------> |
//	 | <------------- OFFER        |  its own address, gateway, resolver
//	 | REQUEST                     |
//	 | --------------------------> |
//	 | <------------- ACK          |  for that address
//	 | <------------- NAK          |  for another one
//
// For IPv6 there is router discovery: see solicit.go.

const (
	dhcpServerPort = 67
	dhcpClientPort = 68

	dhcpRequest = 1 // op of a client
	dhcpReply   = 2
	dhcpHead    = 236 // bytes before the magic cookie
	dhcpCookie  = 0x63825363
	dhcpEnd     = 255
	dhcpPad     = 0
	// dhcpSize of our messages, in bytes: some clients take none below the size
	// of BOOTP's (RFC 1542, 2.1).
	dhcpSize = 300
	// maxDHCP bounds what is read of a message, in bytes.
	maxDHCP = 1500
	// dhcpLease in seconds.
	dhcpLease = 24 * 60 * 60
)

// Options (RFC 2132).
const (
	optSubnetMask = 1
	optRouter     = 3
	optResolver   = 6
	optRequested  = 50
	optLease      = 51
	optMessage    = 53
	optServer     = 54
)

// dhcpMessage is the value of optMessage.
type dhcpMessage byte

const (
	dhcpDiscover dhcpMessage = 1
	dhcpOffer    dhcpMessage = 2
	dhcpAsk      dhcpMessage = 3 // REQUEST
	dhcpDecline  dhcpMessage = 4
	dhcpACK      dhcpMessage = 5
	dhcpNAK      dhcpMessage = 6
	dhcpRelease  dhcpMessage = 7
	dhcpInform   dhcpMessage = 8
)

// isDHCP says whether an IPv4 packet is from a DHCP client to a server. Its
// source may be 0.0.0.0, as the client has no address yet.
func isDHCP(ip header.IPv4, src, dst netip.Addr) bool {
	udp := header.UDP(ip.Payload())
	return ip.Protocol() == uint8(header.UDPProtocolNumber) && !ip.More() && ip.FragmentOffset() == 0 &&
		(src.IsUnspecified() || src == appNet4.Addr()) && (isBroadcast(dst) || dst == gateway4) &&
		len(udp) >= header.UDPMinimumSize && udp.SourcePort() == dhcpClientPort && udp.DestinationPort() == dhcpServerPort
}

// judgeDHCP answers a client. What is malformed, from another card, or from a
// server is dropped.
func judgeDHCP(udp header.UDP) verdict {
	if n := int(udp.Length()); n < header.UDPMinimumSize || n > len(udp) || n > maxDHCP {
		return dropped(dropDHCP)
	}
	message := udp[header.UDPMinimumSize:udp.Length()]
	if len(message) < dhcpHead+4 || binary.BigEndian.Uint32(message[dhcpHead:]) != dhcpCookie {
		return dropped(dropDHCP)
	}
	ethernet := message[0] == dhcpRequest && message[1] == 1 && message[2] == 6 && hardware(message[28:34]) == appMAC
	want, ok := readDHCP(message[dhcpHead+4:])
	if !ethernet || !ok {
		return dropped(dropDHCP)
	}
	want.client, _ = netip.AddrFromSlice(message[12:16])
	answer := want.answer()
	if answer == 0 {
		return dropped(dropDHCP)
	}
	return verdict{reply: want.frame(message, answer)}
}

// dhcpWish is what a client says.
type dhcpWish struct {
	message   dhcpMessage
	requested netip.Addr // invalid when it names none
	server    netip.Addr
	client    netip.Addr // the address it has already, or 0.0.0.0
}

// readDHCP walks the options, of which the last of a kind counts.
func readDHCP(options []byte) (w dhcpWish, ok bool) {
	for len(options) > 0 && options[0] != dhcpEnd {
		if options[0] == dhcpPad {
			options = options[1:]
			continue
		}
		kind, rest := options[0], fields(options[1:])
		value, fits := rest.take(1)
		if !fits {
			return dhcpWish{}, false
		}
		options = rest
		switch {
		case kind == optMessage && len(value) == 1:
			w.message = dhcpMessage(value[0])
		case kind == optRequested && len(value) == 4:
			w.requested, _ = netip.AddrFromSlice(value)
		case kind == optServer && len(value) == 4:
			w.server, _ = netip.AddrFromSlice(value)
		}
	}
	return w, w.message != 0
}

// answer is 0 where there is nothing to say (RFC 2131, 4.3).
func (w dhcpWish) answer() dhcpMessage {
	switch w.message {
	case dhcpDiscover:
		return dhcpOffer
	case dhcpInform:
		return dhcpACK
	case dhcpAsk:
	default:
		return 0
	}
	asked := w.requested
	if !asked.IsValid() {
		asked = w.client // it renews
	}
	switch {
	case w.server.IsValid() && w.server != gateway4:
		return 0 // it chose another server
	case asked == appNet4.Addr():
		return dhcpACK
	}
	return dhcpNAK
}

// frame answers the client's message ask.
func (w dhcpWish) frame(ask []byte, answer dhcpMessage) []byte {
	out := make([]byte, dhcpSize)
	copy(out, ask[:12]) // op, hardware, hops, transaction, seconds, flags
	out[0], out[3] = dhcpReply, 0
	clear(out[8:10])
	copy(out[28:44], ask[28:44]) // the client's card
	binary.BigEndian.PutUint32(out[dhcpHead:], dhcpCookie)
	options := append(out[:dhcpHead+4], optMessage, 1, byte(answer))
	options = appendAddr(options, optServer, gateway4)
	if answer != dhcpNAK {
		options = appendNetwork(options)
	}
	if w.message != dhcpInform && answer != dhcpNAK {
		copy(out[16:20], appNet4.Addr().AsSlice())
		options = binary.BigEndian.AppendUint32(append(options, optLease, 4), dhcpLease)
	}
	_ = append(options, dhcpEnd) // into out, which has room for all of them
	to := netip.AddrFrom4([4]byte{255, 255, 255, 255})
	if w.client == appNet4.Addr() && answer != dhcpNAK { // it has the address, and may listen on that alone
		to = w.client
		copy(out[12:16], to.AsSlice())
	}
	return newDatagram(netip.AddrPortFrom(gateway4, dhcpServerPort), netip.AddrPortFrom(to, dhcpClientPort), out)
}

// appendNetwork appends what a client needs to know of the wire.
func appendNetwork(options []byte) []byte {
	mask := binary.BigEndian.AppendUint32(nil, ^uint32(0)<<(32-appNet4.Bits()))
	options = appendAddr(options, optSubnetMask, netip.AddrFrom4([4]byte(mask)))
	options = appendAddr(options, optRouter, gateway4)
	return appendAddr(options, optResolver, gateway4)
}

func appendAddr(options []byte, kind byte, addr netip.Addr) []byte {
	return append(append(options, kind, 4), addr.AsSlice()...)
}
