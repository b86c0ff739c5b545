package router

import (
	"errors"
	"net"
	"net/netip"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/time/rate"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"
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
	how := hostUnreachable
	switch why {
	case refuseDenied, refuseGateway, refuseQUIC, refuseRefused:
		how = portUnreachable
	}
	r.endpoint.send(unreachable(quote, how))
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
	ep.SocketOptions().SetReceiveBufferSize(udpQueue, false)
	go r.serveUDP(f, gonet.NewUDPConn(&queue, ep), quote)
}

// serveUDP is one association from its first datagram to its end; datagrams
// that come before the verdict wait in app.
func (r *Router) serveUDP(f *flow, app *gonet.UDPConn, quote []byte) {
	defer r.flows.end(f)
	defer app.Close()
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
		return
	}
	a := &association{app: app, out: out, count: &r.count, pace: r.pace, quiet: r.udpIdle}
	r.flows.opened(f, a.close)
	if a.run() && f.ctx.Err() == nil {
		r.refuseDatagram(quote, refuseDenied) // cut from outside: tell the app
	}
}

// association moves datagrams both ways.
type association struct {
	app   *gonet.UDPConn
	out   net.Conn
	count *counters
	pace  pacer
	quiet time.Duration // after which it ends
	idle  *time.Timer
}

// close may be called from any goroutine, more than once.
func (a *association) close() {
	a.app.SetDeadline(past) //nolint:errcheck // it never fails
	a.out.SetDeadline(past)
}

// run returns when the association is over; cut is true when the far side ended
// it.
func (a *association) run() (cut bool) {
	defer a.out.Close()
	a.idle = time.AfterFunc(a.quiet, a.close)
	defer a.idle.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.relay(a.out, a.app, &a.count.bytesIn, a.pace.up) //nolint:errcheck // the app has no more to say
		a.close()
	}()
	err := a.relay(a.app, a.out, &a.count.bytesOut, a.pace.down)
	a.close()
	<-done
	var timeout net.Error
	return !(errors.As(err, &timeout) && timeout.Timeout())
}

// relay copies datagrams until from or to fails, and says how. A refusal by a port outside
// comes as an error of one read or write and is no end.
func (a *association) relay(to, from net.Conn, count *atomic.Uint64, pace *rate.Limiter) error {
	buf := make([]byte, maxDatagram)
	for {
		n, err := from.Read(buf)
		if err == nil {
			_, err = to.Write(buf[:n])
			count.Add(uint64(n))   //nolint:gosec // not negative
			spend(pace, n, always) //nolint:errcheck // always alive
		}
		if err != nil && !passing(err) {
			return err
		}
		a.idle.Reset(a.quiet)
	}
}

// passing errors concern one datagram.
func passing(err error) bool {
	return errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EMSGSIZE)
}
