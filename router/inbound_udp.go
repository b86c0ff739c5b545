package router

import (
	"context"
	"errors"
	"fmt"
	"net"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"
	"gvisor.dev/gvisor/pkg/waiter"

	"github.com/consentry/consentry/sandbox"
)

// ServeInboundUDP carries the datagrams of one client on the user's computer to
// a UDP port of the app, over IPv4, and back; each read and write of conn is
// one datagram. It returns when conn ends or nothing went either way for a
// while, and takes conn over.
func (r *Router) ServeInboundUDP(ctx context.Context, conn net.Conn, port uint16) error {
	f, why := r.flows.begin(r.ctx, "udp", target{})
	if why != dropNone {
		r.count.drop(why)
		conn.Close()
		return fmt.Errorf("%w: UDP port %d of the app: too many flows", sandbox.ErrBusy, port)
	}
	defer r.flows.end(f)
	app, err := r.dialUDP(port)
	if err != nil {
		conn.Close()
		return fmt.Errorf("UDP port %d of the app: %w", port, err)
	}
	done := make(chan struct{})
	a := r.associate(f, app, conn)
	a.ended = func(bool) { close(done) }
	stop := context.AfterFunc(ctx, a.close)
	defer stop()
	a.start()
	<-done
	return nil
}

func (r *Router) dialUDP(port uint16) (*appConn, error) {
	var queue waiter.Queue
	ep, fault := r.stack.NewEndpoint(udp.ProtocolNumber, networkOf(appNet4.Addr()), &queue)
	if fault != nil {
		return nil, errors.New(fault.String())
	}
	if fault := ep.Connect(tcpip.FullAddress{NIC: nic, Addr: address(appNet4.Addr()), Port: port}); fault != nil {
		ep.Close()
		return nil, errors.New(fault.String())
	}
	return newAppDatagrams(ep, &queue), nil
}
