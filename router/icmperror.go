package router

import (
	"encoding/binary"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/consentry/consentry/sandbox"
)

// icmpError is one kind of error in both families (RFC 792, RFC 4443; where one
// lacks it, the nearest that RFC 7915 names).
type icmpError struct{ type4, code4, type6, code6 byte }

// What the router itself says. A refusal for good is a port unreachable, one
// that may pass a host unreachable: EHOSTUNREACH at the app.
var (
	hostUnreachable = icmpErrors[sandbox.HostUnreachable]
	portUnreachable = icmpErrors[sandbox.PortUnreachable]
	prohibited      = icmpErrors[sandbox.Prohibited]
)

const (
	unreachable4, exceeded4, parameter4       = 3, 11, 12
	unreachable6, big6, exceeded6, parameter6 = 1, 2, 3, 4
)

var icmpErrors = map[sandbox.TroubleKind]icmpError{
	sandbox.PortUnreachable:     {unreachable4, 3, unreachable6, 4},
	sandbox.NetUnreachable:      {unreachable4, 0, unreachable6, 0},
	sandbox.HostUnreachable:     {unreachable4, 1, unreachable6, 3},
	sandbox.ProtocolUnreachable: {unreachable4, 2, parameter6, 1},
	sandbox.Prohibited:          {unreachable4, 13, unreachable6, 1},
	sandbox.TooBig:              {unreachable4, 4, big6, 0},
	sandbox.HopLimitExceeded:    {exceeded4, 0, exceeded6, 0},
	sandbox.ReassemblyTimeout:   {exceeded4, 1, exceeded6, 1},
	sandbox.BadHeader:           {parameter4, 0, parameter6, 0},
}

// maxQuote is what of a packet is sent back: its headers, from which the app's
// kernel finds the socket (and for TCP checks the sequence number).
const maxQuote = 128

// answer says e of a packet that began with quote, an IP header and at least
// eight bytes of transport header. The message comes from the gateway.
func (e icmpError) answer(quote []byte) []byte { return e.say(quote, 0) }

// say is answer with the number of bytes that e speaks of.
func (e icmpError) say(quote []byte, number uint16) []byte {
	const head = 8 // of both families: type, code, checksum, and four bytes for the number
	quote = quote[:min(len(quote), maxQuote)]
	if header.IPVersion(quote) == header.IPv6Version {
		return newICMP6(gateway6, sourceOf(quote), head+len(quote), func(icmp header.ICMPv6) {
			icmp[0], icmp[1] = e.type6, e.code6
			binary.BigEndian.PutUint16(icmp[6:], number)
			copy(icmp[head:], quote)
		})
	}
	return newICMP4(gateway4, sourceOf(quote), head+len(quote), func(icmp header.ICMPv4) {
		icmp[0], icmp[1] = e.type4, e.code4
		binary.BigEndian.PutUint16(icmp[6:], number)
		copy(icmp[head:], quote)
	})
}

// passOn is the frame that tells the app of trouble with the packet quote, or
// nil. An MTU is never below what every link of the family carries.
func passOn(quote []byte, t sandbox.Trouble) []byte {
	e, known := icmpErrors[t.Kind]
	if !known {
		return nil
	}
	if t.Kind != sandbox.TooBig {
		return e.answer(quote)
	}
	mtu := max(t.Room+header.IPv4MinimumSize, leastMTU4)
	if header.IPVersion(quote) == header.IPv6Version {
		mtu = max(t.Room+header.IPv6MinimumSize, header.IPv6MinimumMTU)
	}
	if mtu >= sandbox.LinkMTU {
		return nil // it is no obstacle to what the app can send
	}
	return e.say(quote, uint16(mtu)) //nolint:gosec // below LinkMTU
}

// leastMTU4 is the smallest datagram that every host takes whole (RFC 791), in bytes.
const leastMTU4 = 576
