package router

import (
	"encoding/binary"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
)

// Router discovery (RFC 4861): a guest that is not set up by its host learns the
// way out, makes one address of its own, and finds the resolver (RFC 8106).
//
//	app                       router
//	 | solicitation              |
//	 | ------------------------> |
//	 | <------- advertisement    |  to whoever asked, or to all
//	 |          …                |
//	 | <------- advertisement    |  to all, every advertEvery from then on
//
// The prefix is for making an address from the card's own (RFC 4862): that one,
// appAuto6, is the only one beside appNet6 that passes. Neither flag of DHCPv6
// is set, and nobody answers it: there is nothing left to tell.

const (
	// advertEvery is the largest interval of RFC 4861, 6.2.1.
	advertEvery = 1800 * time.Second
	// advertLife is how long the gateway stays one, in seconds: three times that.
	advertLife = 3 * 1800
	forEver    = 0xffffffff

	hopLimitOfHosts = 64
	solicitLen      = 8
	optionUnit      = 8 // in which options count their length, in bytes
)

// Options of router discovery.
const (
	optSourceLink  = 1
	optPrefix      = 3
	optResolver6   = 25
	prefixOnLink   = 0x80
	prefixMakesOne = 0x40 // "autonomous"
)

var (
	allNodes    = netip.MustParseAddr("ff02::1")
	allRouters  = netip.MustParseAddr("ff02::2")
	allNodesMAC = hardware{0x33, 0x33, 0, 0, 0, 1} // RFC 2464, 7
)

// judgeRouterSolicit answers a solicitation that is valid by RFC 4861, 6.1.1.
func judgeRouterSolicit(packet []byte, src, dst netip.Addr) verdict {
	ip := header.IPv6(packet)
	icmp := header.ICMPv6(ip.Payload())
	if len(icmp) < solicitLen || ip.HopLimit() != header.NDPHopLimit || icmp.Code() != 0 {
		return dropped(dropNeighbour)
	}
	if !src.IsUnspecified() && !src.IsLinkLocalUnicast() && !isApp(src) {
		return dropped(dropSpoofed)
	}
	if dst != allRouters && dst != gateway6 && dst != gatewayLink6 {
		return dropped(dropNeighbour)
	}
	if !readSolicit(icmp[solicitLen:], src.IsUnspecified()) {
		return dropped(dropNeighbour)
	}
	if src.IsUnspecified() {
		src = allNodes
	}
	return verdict{reply: routerAdvert(src), solicited: true}
}

// readSolicit walks the options. Who has no address yet must not name its card.
func readSolicit(options []byte, nameless bool) bool {
	for len(options) > 0 {
		if len(options) < optionUnit {
			return false
		}
		size := int(options[1]) * optionUnit
		if size == 0 || size > len(options) || nameless && options[0] == optSourceLink {
			return false
		}
		options = options[size:]
	}
	return true
}

func routerAdvert(to netip.Addr) []byte {
	body := []byte{hopLimitOfHosts, 0} // no flags: no DHCPv6
	body = binary.BigEndian.AppendUint16(body, advertLife)
	body = append(body, make([]byte, 8)...) // reachable and retransmission time: unspecified
	body = append(append(body, optSourceLink, 1), gatewayMAC[:]...)
	body = append(body, optPrefix, 4, byte(appNet6.Bits()), prefixOnLink|prefixMakesOne)
	body = binary.BigEndian.AppendUint32(body, forEver)           // valid
	body = binary.BigEndian.AppendUint32(body, forEver)           // preferred
	body = append(append(body, 0, 0, 0, 0), prefix6.AsSlice()...) // reserved
	body = append(body, optResolver6, 3, 0, 0)                    // reserved
	body = binary.BigEndian.AppendUint32(body, advertLife)
	body = append(body, gateway6.AsSlice()...)
	const head = 4 // type, code, checksum
	frame := newICMP6(gatewayLink6, to, head+len(body), func(icmp header.ICMPv6) {
		icmp.SetType(header.ICMPv6RouterAdvert)
		copy(icmp[head:], body)
	})
	if to.IsMulticast() {
		copy(frame[:6], allNodesMAC[:])
	}
	return frame
}

// adverts repeat themselves once somebody has asked: an advertisement is true for
// advertLife only.
type adverts struct {
	send  func(frame []byte)
	every time.Duration

	mu    sync.Mutex
	timer *time.Timer
	ended bool
}

func (a *adverts) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.timer == nil && !a.ended {
		a.timer = time.AfterFunc(a.every, a.repeat)
	}
}

func (a *adverts) repeat() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.ended {
		a.send(routerAdvert(allNodes))
		a.timer.Reset(a.every)
	}
}

// end comes after the link was closed, as it waits for one that is being sent.
func (a *adverts) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.ended = true
	if a.timer != nil {
		a.timer.Stop()
	}
}
