package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"net/netip"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/consentry/consentry/sandbox"
)

// solicitation is one of the app's card; rest is what follows the reserved field.
func solicitation(src, dst netip.Addr, rest ...byte) []byte {
	frame := newICMP6(src, dst, solicitLen+len(rest), func(icmp header.ICMPv6) {
		icmp.SetType(header.ICMPv6RouterSolicit)
		copy(icmp[solicitLen:], rest)
	})
	fromApp(frame)
	copy(frame[:6], []byte{0x33, 0x33, 0, 0, 0, 2})
	return frame
}

func TestRouterSolicitations(t *testing.T) {
	link := netip.MustParseAddr("fe80::1")
	nobody := netip.IPv6Unspecified()
	named := append([]byte{optSourceLink, 1}, appMAC[:]...)
	edit := func(frame []byte, at int, b byte) []byte {
		frame[at] = b
		return frame
	}
	const ip = ethernetLen
	for _, c := range []struct {
		name  string
		frame []byte
		to    netip.Addr // of the advertisement; invalid for none
		why   reason
	}{
		{"from its link", solicitation(link, allRouters, named...), link, dropNone},
		{"from its address", solicitation(appAuto6, gateway6), appAuto6, dropNone},
		{"from nobody", solicitation(nobody, allRouters), allNodes, dropNone},
		{"with an unknown option", solicitation(link, allRouters, 200, 1, 0, 0, 0, 0, 0, 0), link, dropNone},
		{"from nobody, with a card", solicitation(nobody, allRouters, named...), netip.Addr{}, dropNeighbour},
		{"from another", solicitation(netip.MustParseAddr("fd00:c0de::99"), allRouters), netip.Addr{}, dropSpoofed},
		{"to another", solicitation(link, netip.MustParseAddr("2606:4700::1111")), netip.Addr{}, dropNeighbour},
		{"an option of no length", solicitation(link, allRouters, 200, 0, 0, 0, 0, 0, 0, 0), netip.Addr{}, dropNeighbour},
		{"an option that is cut", solicitation(link, allRouters, 200, 2, 0, 0, 0, 0, 0, 0), netip.Addr{}, dropNeighbour},
		{"a piece of an option", solicitation(link, allRouters, 200), netip.Addr{}, dropNeighbour},
		{"from afar", edit(solicitation(link, allRouters), ip+7, 254), netip.Addr{}, dropNeighbour},
		{"another code", edit(solicitation(link, allRouters), ip+header.IPv6MinimumSize+1, 1), netip.Addr{}, dropNeighbour},
	} {
		v := judge(c.frame)
		if v.why != c.why || v.solicited != c.to.IsValid() || (v.reply != nil) != c.to.IsValid() {
			t.Errorf("%s: dropped as %q, want %q; reply %x", c.name, reasonNames[v.why], reasonNames[c.why], v.reply)
			continue
		}
		if v.reply == nil {
			continue
		}
		reply := header.IPv6(v.reply[ethernetLen:])
		if to := netip.AddrFrom16(reply.DestinationAddress().As16()); to != c.to || sourceOf(reply) != gatewayLink6 || reply.HopLimit() != 255 {
			t.Errorf("%s: the advertisement goes from %v to %v", c.name, sourceOf(reply), to)
		}
	}
}

// TestAdvertisementsAreRepeated, once there was a solicitation and not before.
func TestAdvertisementsAreRepeated(t *testing.T) {
	link := &chanLink{in: make(chan []byte), out: make(chan []byte, 100), closed: make(chan struct{})}
	r, err := New(Config{Link: link, Broker: &fakeBroker{dial: refusing(sandbox.ErrDenied)}, advertEvery: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	time.Sleep(100 * time.Millisecond)
	if n := len(link.out); n != 0 {
		t.Errorf("%d frames before anybody asked", n)
	}
	asker := netip.MustParseAddr("fe80::1")
	link.in <- solicitation(asker, allRouters)
	if first := <-link.out; !bytes.Equal(first, routerAdvert(asker)) {
		t.Errorf("the answer is %x", first)
	}
	for range 3 {
		select {
		case next := <-link.out:
			if !bytes.Equal(next, routerAdvert(allNodes)) {
				t.Errorf("it is repeated as %x", next)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it is not repeated")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	after := len(link.out)
	time.Sleep(100 * time.Millisecond)
	if now := len(link.out); now != after {
		t.Errorf("%d frames after the end", now-after)
	}
}

// FuzzDiscovery: whatever ICMPv6 comes from whatever address, an answer is of the
// gateway, to who asked or to all, and no longer than an advertisement.
func FuzzDiscovery(f *testing.F) {
	link, nobody := netip.MustParseAddr("fe80::1"), netip.IPv6Unspecified()
	for _, frame := range [][]byte{
		solicitation(link, allRouters, append([]byte{optSourceLink, 1}, appMAC[:]...)...), solicitation(nobody, allRouters),
		solicitation(appAuto6, gateway6, 200, 1, 0, 0, 0, 0, 0, 0), madeUp(appNet6.Addr(), gateway6, 128, 1, []byte("ping")),
		madeUp(link, gateway6, 135, 0, gateway6.AsSlice()), madeUp(link, gatewayLink6, 135, 0, gatewayLink6.AsSlice()),
	} {
		ip := header.IPv6(frame[ethernetLen:])
		f.Add([]byte(ip[8:24]), []byte(ip[24:40]), ip.Payload())
	}
	f.Fuzz(func(t *testing.T, from, to, icmp []byte) {
		src, ok := netip.AddrFromSlice(from)
		dst, valid := netip.AddrFromSlice(to)
		if !ok || !valid || !src.Is6() || !dst.Is6() || len(icmp) > maxEcho {
			return
		}
		frame, payload := newIPv6(src, dst, header.ICMPv6ProtocolNumber, len(icmp))
		copy(payload, icmp)
		fromApp(frame)
		if dst.IsMulticast() {
			frame[0] |= 1
		}
		v := judge(frame)
		if v.reply == nil {
			return
		}
		ip := header.IPv6(v.reply[ethernetLen:])
		answered := netip.AddrFrom16(ip.DestinationAddress().As16())
		gateway := sourceOf(ip) == gateway6 || sourceOf(ip) == gatewayLink6
		if !gateway || answered != src && answered != allNodes || len(v.reply) > max(len(frame), len(routerAdvert(allNodes)), len(advertise(gateway6, src))) {
			t.Errorf("%v to %v is answered by %x", src, dst, v.reply)
		}
	})
}

func madeUp(src, dst netip.Addr, kind byte, number uint32, quote []byte) []byte {
	fill := func(icmp []byte) {
		icmp[0] = kind
		icmp[1] = byte(number) & 7
		binary.BigEndian.PutUint32(icmp[4:], number)
		copy(icmp[8:], quote)
	}
	var frame []byte
	if src.Is4() {
		frame = newICMP4(src, dst, 8+len(quote), func(icmp header.ICMPv4) { fill(icmp) })
	} else {
		frame = newICMP6(src, dst, 8+len(quote), func(icmp header.ICMPv6) { fill(icmp) })
	}
	fromApp(frame)
	return frame
}
