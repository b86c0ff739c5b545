package router

import (
	"net"
	"net/netip"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/consentry/consentry/sandbox"
)

const (
	quicPort = 443
	// udpIdle ends an association over which nothing went either way.
	udpIdle = 60 * time.Second
	// udpQueue bounds the datagrams that wait for a verdict or a reader, in
	// bytes as gVisor counts them.
	udpQueue    = 256 << 10
	maxDatagram = 65535
)

// handleUDP sees every datagram that belongs to no association, on the reader's
// goroutine. It always returns true: the stack must not answer by itself.
func (r *Router) handleUDP(id flowID, pkt *stack.PacketBuffer) bool {
	if id.LocalPort == 0 || id.RemotePort == 0 {
		r.count.drop(dropHeader)
		return true
	}
	to := r.lookup(netip.AddrPortFrom(plain(id.LocalAddress), id.LocalPort))
	switch {
	case to.service == theResolver:
		r.answerDatagram(id, pkt)
	case to.service == nowhere:
		r.refuseDatagram(quoteOf(pkt), refuseUnknown)
	case to.service != theBroker:
		r.refuseDatagram(quoteOf(pkt), refuseGateway)
	default:
		r.holdDatagram(id, pkt, to)
	}
	return true
}

// answerDatagram keeps no state, but for what is held: a flood of questions
// costs only time.
func (r *Router) answerDatagram(id flowID, pkt *stack.PacketBuffer) {
	server := netip.AddrPortFrom(plain(id.LocalAddress), id.LocalPort)
	app := netip.AddrPortFrom(plain(id.RemoteAddress), id.RemotePort)
	query := pkt.Data().AsRange().ToSlice()
	if q, ok := r.upstream(query); ok {
		r.count.queries.Add(1)
		r.answerLater(q, server, app)
		return
	}
	if reply := r.resolve(query); reply != nil {
		r.endpoint.send(newDatagram(server, app, reply))
	}
}

// answerLater holds a question on a goroutine of its own, which ends with the
// router's context.
func (r *Router) answerLater(q question, server, app netip.AddrPort) {
	if _, held := r.flows.sizes(); held >= r.flows.limits.Held {
		r.count.drop(refuseHeld) // before a goroutine is made for it
		return
	}
	go func() {
		if reply := r.ask(q, maxDNSDatagram); reply != nil {
			r.endpoint.send(newDatagram(server, app, reply))
		}
	}()
}

// refuseDatagram says no at once. Port unreachable is a refusal for good, host
// unreachable one that may pass.
func (r *Router) refuseDatagram(quote []byte, why reason) {
	r.count.drop(why)
	r.endpoint.send(refusalOf(why).answer(quote))
}

func refusalOf(why reason) icmpError {
	switch why {
	case refuseDenied, refuseGateway, refuseQUIC, refuseRefused:
		return portUnreachable
	}
	return hostUnreachable
}

func (r *Router) holdDatagram(id flowID, pkt *stack.PacketBuffer, to target) {
	quote := quoteOf(pkt)
	f, why := r.flows.begin(r.ctx, "udp", to)
	if why != dropNone {
		r.names.release(to.name)
		r.refuseDatagram(quote, why)
		return
	}
	var queue waiter.Queue
	ep, err := udp.NewForwarderRequest(r.stack, id, pkt.Clone()).CreateEndpoint(&queue)
	if err != nil {
		r.flows.end(f)
		r.count.drop(dropHeader)
		return
	}
	app := newAppDatagrams(ep, &queue)
	r.crew.Run(func() { r.serveUDP(f, app, quote) })
}

// serveUDP is one association from its first datagram on; datagrams that come
// before the verdict wait in app.
func (r *Router) serveUDP(f *flow, app *appConn, quote []byte) {
	want := f.request()
	want.GrantedOnly = want.Port == quicPort // clients fall back to TCP, which is asked about
	out, err := r.broker.Dial(f.ctx, want)
	if err != nil {
		why := reasonOf(err)
		if want.GrantedOnly && why == refuseDenied {
			why = refuseQUIC
		}
		if f.ctx.Err() == nil {
			r.refuseDatagram(quote, why)
		}
		app.close()
		r.flows.end(f)
		return
	}
	a := r.associate(f, app, out)
	a.trouble = func(t sandbox.Trouble) {
		if frame := passOn(quote, t); frame != nil {
			r.endpoint.send(frame)
		}
	}
	a.ended = func(cut bool) {
		if cut && f.ctx.Err() == nil {
			r.refuseDatagram(quote, refuseDenied) // cut from outside: tell the app
		}
		r.flows.end(f)
	}
	a.start()
}

// associate joins both sides of f; the caller sets what to do at the end.
func (r *Router) associate(f *flow, app *appConn, out net.Conn) *association {
	a := &association{
		app: app, out: newFarEnd(out, r.lot, &r.crew), count: &r.count, pace: r.pace, quiet: r.udpIdle,
		trouble: func(sandbox.Trouble) {},
	}
	a.out.read, a.out.cut = a.copyDown, a.close
	r.flows.opened(f, a.close)
	return a
}
