package router

import (
	"encoding/binary"
	"net"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"

	"github.com/consentry/consentry/sandbox"
)

// Ping is a right of its own: an echo request to anyone but the gateway is held
// like the first datagram of a UDP flow. What crosses to the Broker is a message
// without addresses, identifier or family, so that the agent may ping an IPv6
// address of a name that the app pings over IPv4:
//
//	2 bytes sequence number, then the data

const (
	pingQueue = 16 // messages that wait for a verdict
	pingIdle  = 30 * time.Second
)

// pingKey tells the pings of an app apart: as whom and what it pings, and its
// identifier.
type pingKey struct {
	from, to netip.Addr
	id       uint16
}

// pings is the table of the app's pings, held or open.
type pings struct {
	mu  sync.Mutex
	all map[pingKey]chan []byte
}

// put gives a message to the ping it belongs to; first says that there was none.
// What does not fit is lost, as on any network.
func (t *pings) put(key pingKey, message []byte) (queue chan []byte, first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	queue = t.all[key]
	if queue == nil {
		queue, first = make(chan []byte, pingQueue), true
		t.all[key] = queue
	}
	select {
	case queue <- message:
	default:
	}
	return queue, first
}

func (t *pings) remove(key pingKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.all, key)
}

// handlePing takes an echo request that judge has let pass.
func (r *Router) handlePing(packet []byte, ipv6 bool) {
	dst, echo := echoOf(packet, ipv6)
	key := pingKey{from: sourceOf(packet), to: dst, id: binary.BigEndian.Uint16(echo[4:6])}
	queue, first := r.pings.put(key, append([]byte(nil), echo[6:]...))
	if !first {
		return
	}
	quote := append([]byte(nil), packet[:min(len(packet), maxQuote)]...)
	f, why := r.beginPing(dst)
	if why != dropNone {
		r.pings.remove(key)
		r.refusePing(quote, why)
		return
	}
	go r.servePing(f, key, queue, quote)
}

func (r *Router) beginPing(dst netip.Addr) (*flow, reason) {
	to := r.lookup(netip.AddrPortFrom(dst, sandbox.PingPort))
	switch to.service {
	case theBroker:
	case nowhere:
		return nil, refuseUnknown
	default:
		return nil, refuseGateway
	}
	f, why := r.flows.begin(r.ctx, sandbox.NetworkPing, to)
	if why != dropNone {
		r.names.release(to.name)
	}
	return f, why
}

// echoOf returns where an echo request goes, and its ICMP message.
func echoOf(packet []byte, ipv6 bool) (netip.Addr, []byte) {
	if ipv6 {
		ip := header.IPv6(packet)
		return netip.AddrFrom16(ip.DestinationAddress().As16()), ip.Payload()
	}
	ip := header.IPv4(packet)
	return netip.AddrFrom4(ip.DestinationAddress().As4()), ip.Payload()
}

func (r *Router) refusePing(quote []byte, why reason) {
	r.count.drop(why)
	how := hostUnreachable
	if why == refuseDenied {
		how = prohibited
	}
	r.endpoint.send(how.answer(quote))
}

// servePing is one ping from its first request until nothing was sent for a
// while.
func (r *Router) servePing(f *flow, key pingKey, queue <-chan []byte, quote []byte) {
	defer r.flows.end(f)
	defer r.pings.remove(key)
	out, err := r.broker.Dial(f.ctx, f.request())
	if err != nil {
		if f.ctx.Err() == nil {
			r.refusePing(quote, reasonOf(err))
		}
		return
	}
	cut := func() { out.SetDeadline(past) }
	r.flows.opened(f, cut)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.answerPings(out, key)
	}()
	sendPings(out, queue, done)
	cut()
	<-done
	out.Close()
}

// sendPings returns when nothing was sent for a while, or done is closed.
func sendPings(out net.Conn, queue <-chan []byte, done <-chan struct{}) {
	idle := time.NewTimer(pingIdle)
	defer idle.Stop()
	for {
		select {
		case message := <-queue:
			if _, err := out.Write(message); err != nil && !passing(err) {
				return
			}
			idle.Reset(pingIdle)
		case <-idle.C:
			return
		case <-done:
			return
		}
	}
}

func (r *Router) answerPings(out net.Conn, key pingKey) {
	buf := make([]byte, maxEcho)
	for {
		n, err := out.Read(buf)
		if err != nil {
			return
		}
		if n >= 2 {
			r.endpoint.send(echoReply(key, buf[:n]))
		}
	}
}

// echoReply is the answer as the app expects it, from the address that it asked.
func echoReply(key pingKey, message []byte) []byte {
	size := header.ICMPv4MinimumSize - 2 + len(message)
	if key.to.Is4() {
		return newICMP4(key.to, key.from, size, func(icmp header.ICMPv4) {
			icmp.SetType(header.ICMPv4EchoReply)
			binary.BigEndian.PutUint16(icmp[4:6], key.id)
			copy(icmp[6:], message)
		})
	}
	return newICMP6(key.to, key.from, size, func(icmp header.ICMPv6) {
		icmp.SetType(header.ICMPv6EchoReply)
		binary.BigEndian.PutUint16(icmp[4:6], key.id)
		copy(icmp[6:], message)
	})
}
