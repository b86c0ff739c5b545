package router

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/consentry/consentry/sandbox"
)

// A SYN's way:
//
//	app          router                       Broker
//	 | SYN         |                            |
//	 | ----------> | Dial(host, port)           |
//	 |             | -------------------------> | asks, resolves, pins, connects
//	 | SYN again   |                            |
//	 | ----------> | (marks the app as waiting) |
//	 |             | <------------------------- | connection
//	 | <-- SYN-ACK | splice                     |
//	 |             | <------------------------- | ErrDenied, ErrRefused
//	 | <------ RST |                            |
//	 |             | <------------------------- | ErrTimeout
//	 |             | (says nothing, as the far end: the app's own patience counts)
//	 |             | <------------------------- | ErrHeld, ErrBusy, ErrUnreachable, a fault
//	 | <-- ICMP host unreachable                |

type flowID = stack.TransportEndpointID

// heldSYN is a SYN that was not answered yet.
type heldSYN struct {
	flow     *flow
	sequence uint32
	quote    []byte // headers of the packet, for ICMP

	began time.Time
	// quiet ends the flow when the app has stopped repeating its SYN: Linux
	// says nothing when a connecting socket is closed.
	quiet *time.Timer
}

// Linux repeats a SYN after at most as long as it has been trying, plus one
// second; patience allows twice that and patienceBase.
const patienceBase = 4 * time.Second

func patience(trying time.Duration) time.Duration { return 2*trying + patienceBase }

// syns is the table of held SYNs.
type syns struct {
	mu   sync.Mutex
	held map[flowID]*heldSYN
}

func newSYNs() *syns { return &syns{held: map[flowID]*heldSYN{}} }

func (t *syns) get(id flowID) *heldSYN {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.held[id]
}

func (t *syns) add(id flowID, h *heldSYN) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.held[id] = h
}

// remove must come after the forwarder has forgotten the SYN.
func (t *syns) remove(id flowID) {
	t.mu.Lock()
	h := t.held[id]
	delete(t.held, id)
	t.mu.Unlock()
	if h != nil {
		h.quiet.Stop()
	}
}

// again is a SYN for a flow that is held: a repetition, or a new attempt from
// the same port, which ends the old one and comes again by itself.
func (h *heldSYN) again(sequence uint32) {
	if sequence != h.sequence {
		h.flow.cancel()
		return
	}
	h.quiet.Reset(patience(time.Since(h.began)))
}

// handleTCP sees every TCP packet that belongs to no connection, on the reader's
// goroutine. False makes the stack answer with a reset.
func (r *Router) handleTCP(id flowID, pkt *stack.PacketBuffer) bool {
	segment := header.TCP(pkt.TransportHeader().Slice())
	if len(segment) < header.TCPMinimumSize || id.LocalPort == 0 || id.RemotePort == 0 {
		r.count.drop(dropHeader)
		return true
	}
	flags, waiting := segment.Flags(), r.syns.get(id)
	switch {
	case waiting != nil && flags.Contains(header.TCPFlagRst):
		waiting.flow.cancel()
		return true
	case waiting != nil && flags.Contains(header.TCPFlagSyn):
		waiting.again(segment.SequenceNumber())
		return true
	case flags.Contains(header.TCPFlagSyn) && !flags.Contains(header.TCPFlagAck):
		return r.hold(id, pkt, segment.SequenceNumber())
	}
	return false
}

// hold begins a flow, or refuses it at once.
func (r *Router) hold(id flowID, pkt *stack.PacketBuffer, sequence uint32) bool {
	to := r.lookup(netip.AddrPortFrom(plain(id.LocalAddress), id.LocalPort))
	switch to.service {
	case nobody:
		r.count.drop(refuseGateway)
		return false
	case nowhere:
		r.count.drop(refuseUnknown)
		r.endpoint.send(hostUnreachable.answer(quoteOf(pkt)))
		return true
	}
	f, why := r.flows.begin(r.ctx, "tcp", to)
	if why != dropNone {
		r.names.release(to.name)
		r.count.drop(why)
		return false
	}
	r.syns.add(id, &heldSYN{
		flow: f, sequence: sequence, quote: quoteOf(pkt), began: time.Now(),
		quiet: time.AfterFunc(patience(0), f.cancel),
	})
	if !r.forward.HandlePacket(id, pkt) { // a bad checksum
		r.syns.remove(id)
		r.flows.end(f)
		r.count.drop(dropHeader)
	}
	return true
}

// quoteOf copies the headers of a packet.
func quoteOf(pkt *stack.PacketBuffer) []byte {
	quote := append([]byte(nil), pkt.NetworkHeader().Slice()...)
	return append(quote, pkt.TransportHeader().Slice()...)
}

// serveSYN is one flow of the app from SYN to end, on a goroutine of its own
// while it is not idle.
func (r *Router) serveSYN(req *tcp.ForwarderRequest) {
	h := r.syns.get(req.ID())
	switch h.flow.to.service {
	case theResolver:
		if conn := r.accept(req, h); conn != nil {
			r.serveDNS(conn.conn())
		}
	case theDataAPI:
		if conn := r.accept(req, h); conn != nil {
			r.data.serve(conn.conn())
		}
	default:
		if r.serveBroker(req, h) {
			return // the splice ends the flow
		}
	}
	r.flows.end(h.flow)
}

// serveBroker says whether a splice has begun.
func (r *Router) serveBroker(req *tcp.ForwarderRequest, h *heldSYN) bool {
	f := h.flow
	out, err := r.broker.Dial(f.ctx, f.request())
	if err == nil && f.ctx.Err() != nil { // the app has gone meanwhile
		out.Close()
		err = f.ctx.Err()
	}
	if err != nil {
		r.refuse(req, h, err)
		return false
	}
	app := r.accept(req, h)
	if app == nil {
		out.Close()
		return false
	}
	f.cancel() // only the Broker's wait needed the context, and it is much of what an idle flow holds
	s := &splice{
		app: app, out: newFarEnd(out, r.lot, &r.crew), flow: f, count: &r.count, pace: r.pace, answers: new(answers),
	}
	s.guard = guardOf(f, s.answers)
	s.ended = func() {
		r.log.Debug("flow ended", "host", f.to.host, "port", f.to.port, "up", s.up, "down", s.down)
		r.flows.end(f)
	}
	r.flows.opened(f, s.cut)
	s.start()
	return true
}

// refuse answers a held SYN with no.
func (r *Router) refuse(req *tcp.ForwarderRequest, h *heldSYN, err error) {
	why := reasonOf(err)
	reset := why == refuseDenied || why == refuseRefused
	if why == refuseTimeout {
		r.count.drop(why)
		r.flows.silent(h.flow)
		<-h.flow.ctx.Done()
	}
	gone := h.flow.ctx.Err() != nil
	if !reset && !gone {
		r.endpoint.send(hostUnreachable.answer(h.quote))
	}
	if !gone {
		r.count.drop(why)
	}
	r.complete(req, reset)
	r.log.Debug("flow refused", "host", h.flow.to.host, "port", h.flow.to.port, "err", err)
}

// complete makes the forwarder forget a SYN, then the table.
func (r *Router) complete(req *tcp.ForwarderRequest, reset bool) {
	id := req.ID()
	req.Complete(reset)
	r.syns.remove(id)
}

// reasonOf sorts the Broker's errors.
func reasonOf(err error) reason {
	switch {
	case errors.Is(err, sandbox.ErrDenied), errors.Is(err, sandbox.ErrInvalid), errors.Is(err, sandbox.ErrUnknownKind):
		return refuseDenied
	case errors.Is(err, sandbox.ErrHeld), errors.Is(err, sandbox.ErrBusy), errors.Is(err, context.Canceled):
		return refuseLater
	case errors.Is(err, sandbox.ErrRefused):
		return refuseRefused
	case errors.Is(err, sandbox.ErrTimeout):
		return refuseTimeout
	}
	return refuseUnreachable
}

// accept answers a held SYN with yes; nil when the app has gone meanwhile.
func (r *Router) accept(req *tcp.ForwarderRequest, h *heldSYN) *appConn {
	shake := newHandshake(handshakeTimeout)
	defer shake.end()
	r.flows.cutBy(h.flow, shake.giveUp)
	if h.flow.ctx.Err() != nil {
		r.complete(req, false)
		return nil
	}
	ep, err := req.CreateEndpoint(&shake.queue)
	r.complete(req, false)
	if err != nil {
		r.log.Debug("app gave up", "host", h.flow.to.host, "err", err.String())
		return nil
	}
	app := newAppConn(ep, &shake.queue)
	r.flows.opened(h.flow, app.Abort)
	return app
}
