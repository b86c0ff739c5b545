package router

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/consentry/consentry/sandbox"
)

// inboundTimeout bounds the app's answer to a connection from the host.
const inboundTimeout = 10 * time.Second

// DialApp connects to a TCP port inside the app, from the gateway's address:
// over IPv4, and over IPv6 where nobody listens on IPv4. The connection has
// CloseWrite. A port nobody listens on is syscall.ECONNREFUSED.
func (r *Router) DialApp(ctx context.Context, port uint16) (net.Conn, error) {
	app, f, err := r.dialApp(ctx, port)
	if err != nil {
		return nil, err
	}
	conn := &pacedConn{Conn: app.conn(), pace: r.pace, count: &r.count}
	return &inboundConn{pacedConn: conn, end: sync.OnceFunc(func() { r.flows.end(f) })}, nil
}

// inboundConn ends its flow when it is closed.
type inboundConn struct {
	*pacedConn
	end func()
}

func (c *inboundConn) Close() error {
	err := c.pacedConn.Close()
	c.end()
	return err
}

// ServeInbound carries conn, which the agent accepted, to a port of the app,
// and returns when both directions have ended. It takes conn over; when the app
// does not answer, conn is reset.
func (r *Router) ServeInbound(ctx context.Context, conn net.Conn, port uint16) error {
	app, f, err := r.dialApp(ctx, port)
	if err != nil {
		abortOut(conn)
		conn.Close()
		return err
	}
	defer r.flows.end(f)
	done := make(chan struct{})
	s := &splice{
		app: app, out: newFarEnd(conn, r.lot, &r.crew), flow: f, count: &r.count, pace: r.pace,
		ended: func() { close(done) },
	}
	r.flows.opened(f, s.cut)
	stop := context.AfterFunc(ctx, s.cut)
	defer stop()
	s.start()
	<-done
	return nil
}

// dialApp returns a connection and its flow, which the caller must end.
func (r *Router) dialApp(ctx context.Context, port uint16) (*appConn, *flow, error) {
	f, why := r.flows.begin(r.ctx, "tcp", target{})
	if why != dropNone {
		r.count.drop(why)
		return nil, nil, fmt.Errorf("%w: port %d of the app: too many flows", sandbox.ErrBusy, port)
	}
	app, err := r.dialEither(ctx, f, port)
	if err != nil {
		r.flows.end(f)
		return nil, nil, fmt.Errorf("port %d of the app: %w", port, err)
	}
	r.flows.opened(f, app.Abort)
	return app, f, nil
}

func (r *Router) dialEither(ctx context.Context, f *flow, port uint16) (*appConn, error) {
	ctx, cancel := context.WithTimeout(ctx, inboundTimeout)
	defer cancel()
	stop := context.AfterFunc(f.ctx, cancel)
	defer stop()
	app, err := r.connect(ctx, appNet4.Addr(), port)
	if errors.Is(err, syscall.ECONNREFUSED) {
		app, err = r.connect(ctx, appNet6.Addr(), port)
	}
	return app, err
}

func (r *Router) connect(ctx context.Context, addr netip.Addr, port uint16) (*appConn, error) {
	var queue waiter.Queue
	ep, fault := r.stack.NewEndpoint(tcp.ProtocolNumber, networkOf(addr), &queue)
	if fault != nil {
		return nil, errors.New(fault.String())
	}
	entry, ready := waiter.NewChannelEntry(waiter.WritableEvents | hangUp)
	queue.EventRegister(&entry)
	defer queue.EventUnregister(&entry)
	fault = ep.Connect(tcpip.FullAddress{NIC: nic, Addr: address(addr), Port: port})
	if _, started := fault.(*tcpip.ErrConnectStarted); started {
		select {
		case <-ready:
			fault = ep.LastError()
		case <-ctx.Done():
			ep.Abort()
			return nil, ctx.Err()
		}
	}
	if fault != nil {
		ep.Close()
		return nil, dialError(fault)
	}
	return newAppConn(ep, &queue), nil
}

func dialError(fault tcpip.Error) error {
	switch fault.(type) {
	case *tcpip.ErrConnectionRefused, *tcpip.ErrConnectionReset:
		return syscall.ECONNREFUSED
	}
	return errors.New(fault.String())
}
