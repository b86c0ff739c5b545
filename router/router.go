package router

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/tcpip/transport/udp"

	"github.com/consentry/consentry/internal/crew"
	"github.com/consentry/consentry/sandbox"
)

// Config is what a Router is made of.
type Config struct {
	Link    Link           // taken over: Run closes it
	Broker  sandbox.Broker // asked for every flow
	DataAPI http.Handler   // on the gateway's port 9999; nil: that port is reset
	Log     *slog.Logger   // nil: nothing is logged
	Limits  Limits
	// Hostname is the app's own, for its DNS; may be empty.
	Hostname string
	Now      func() time.Time // nil: time.Now

	// Tests have less patience; 0 is the constant of the same name.
	udpIdle, advertEvery time.Duration
}

// Router is the network of one app run.
type Router struct {
	link     Link
	broker   sandbox.Broker
	lookups  sandbox.Lookuper // nil when the Broker is none
	log      *slog.Logger
	now      func() time.Time
	names    *names
	flows    *flows
	syns     *syns
	lot      *lot
	crew     crew.Crew
	pings    pings
	resets   resets
	udpIdle  time.Duration
	data     *dataService // nil without a handler
	stack    *stack.Stack
	endpoint *endpoint
	adverts  adverts
	forward  *tcp.Forwarder
	count    counters
	pace     pacer
	tap      *wiretap

	// ctx is the life of the router, not of a call: flows outlive the packet
	// that began them.
	ctx  context.Context
	stop context.CancelFunc
}

const (
	nic = 1
	// bufferSize of each direction of a TCP flow, in bytes: whole segments, as a
	// buffer that is nearly full would take a crumb of one.
	bufferSize = 16 * segmentData
	// timeWait is short, as nothing is reordered or lost between the app's
	// kernel and this stack.
	timeWait = time.Second
)

// New makes a router that does nothing until Run.
func New(c Config) (*Router, error) {
	if c.Link == nil || c.Broker == nil {
		return nil, fmt.Errorf("%w: a router needs a link and a broker", sandbox.ErrInvalid)
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	limits := c.Limits.orDefault()
	r := &Router{
		broker: c.Broker, lookups: lookuper(c.Broker), log: c.Log, now: c.Now,
		pace: newPacer(limits.Bandwidth), tap: &wiretap{Link: c.Link}, udpIdle: cmp.Or(c.udpIdle, udpIdle),
	}
	r.link = r.tap.link()
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.names = newNames(limits.Names, c.Now, newServices(c.Hostname))
	r.flows = &flows{limits: limits, names: r.names, all: map[*flow]struct{}{}}
	r.syns = newSYNs()
	r.pings.all = map[pingKey]chan []byte{}
	if c.DataAPI != nil {
		r.data = newDataService(c.DataAPI)
	}
	var err error
	if r.lot, err = newLot(); err != nil {
		return nil, err
	}
	r.endpoint = newEndpoint(r.link, &r.count)
	r.adverts.send, r.adverts.every = r.endpoint.send, cmp.Or(c.advertEvery, advertEvery)
	if err := r.buildStack(limits); err != nil {
		r.lot.close()
		return nil, fmt.Errorf("build network stack: %w", err)
	}
	return r, nil
}

func (r *Router) buildStack(limits Limits) error {
	r.stack = stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol, udp.NewProtocol},
	})
	if err := r.setOptions(); err != nil {
		return err
	}
	if err := r.addCard(); err != nil {
		return err
	}
	// The forwarder's own cap drops silently; ours, which resets, comes first.
	r.forward = tcp.NewForwarder(r.stack, bufferSize, limits.Flows+1, func(req *tcp.ForwarderRequest) {
		r.crew.Run(func() { r.serveSYN(req) })
	})
	r.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, r.handleTCP)
	r.stack.SetTransportProtocolHandler(udp.ProtocolNumber, r.handleUDP)
	return nil
}

func (r *Router) setOptions() error {
	sack := tcpip.TCPSACKEnabled(true)
	moderate := tcpip.TCPModerateReceiveBufferOption(false)
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: bufferSize, Max: bufferSize}
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: bufferSize, Max: bufferSize}
	wait := tcpip.TCPTimeWaitTimeoutOption(timeWait)
	recovery := tcpip.TCPRecovery(0) // RACK's timers cost a twelfth, and what it finds sooner is not lost here
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &moderate, &receive, &send, &wait, &recovery} {
		if err := r.stack.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("%T: %s", option, err)
		}
	}
	return nil
}

// addCard makes the gateway's card. It takes packets for every address and may
// send from every address: the stack stands for the whole outside.
func (r *Router) addCard() error {
	if err := r.stack.CreateNIC(nic, r.endpoint); err != nil {
		return errors.New(err.String())
	}
	for _, addr := range []netip.Addr{gateway4, gateway6} {
		if err := r.addAddress(addr); err != nil {
			return errors.New(err.String())
		}
	}
	if err := firstFault(r.stack.SetPromiscuousMode(nic, true), r.stack.SetSpoofing(nic, true)); err != nil {
		return errors.New(err.String())
	}
	r.stack.SetRouteTable([]tcpip.Route{
		{Destination: header.IPv4EmptySubnet, NIC: nic},
		{Destination: header.IPv6EmptySubnet, NIC: nic},
	})
	return nil
}

func (r *Router) addAddress(addr netip.Addr) tcpip.Error {
	return r.stack.AddProtocolAddress(nic, tcpip.ProtocolAddress{
		Protocol:          networkOf(addr),
		AddressWithPrefix: address(addr).WithPrefix(),
	}, stack.AddressProperties{})
}

func networkOf(addr netip.Addr) tcpip.NetworkProtocolNumber {
	if addr.Is4() {
		return ipv4.ProtocolNumber
	}
	return ipv6.ProtocolNumber
}

func firstFault(faults ...tcpip.Error) tcpip.Error {
	for _, fault := range faults {
		if fault != nil {
			return fault
		}
	}
	return nil
}

// Run moves frames until ctx ends or the link does; then it cuts every flow,
// closes the link and waits for its goroutines. It returns nil after ctx, the
// link's error otherwise. It is called once.
func (r *Router) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(r.lot.run)
	if r.data != nil {
		wg.Go(r.data.run)
	}
	closeLink := sync.OnceFunc(func() { r.link.Close() })
	detach := context.AfterFunc(ctx, closeLink)
	err := r.readFrames()
	detach()
	r.shutDown(closeLink)
	wg.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("link of the app: %w", err)
}

func (r *Router) shutDown(closeLink func()) {
	r.stop()
	if r.data != nil {
		r.data.close()
	}
	r.flows.closeAll()
	r.crew.End()
	r.lot.close()
	closeLink()
	r.adverts.end()
	r.stack.Close()
	r.stack.Wait()
}
