package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/worker"
)

// loopbacks are the only addresses that ports are published on (promise P9).
var loopbacks = []string{"127.0.0.1", "::1"}

// maxInbound bounds the open connections, or UDP clients, of one published port.
const maxInbound = 1024

// published is one port of an app on the loopback addresses.
type published struct {
	mapping api.PortMapping
	right   *grantedTarget // when the app asked for it, and not the user by himself
	tcp     []*net.TCPListener
	udp     []*net.UDPConn
	work    sync.WaitGroup

	mu     sync.Mutex
	conns  map[tcpConn]time.Time // since when; nil once it is closed
	relays int                   // UDP clients
}

// carrier takes connections to the app. Its calls return when they have ended.
type carrier interface {
	Inbound(ctx context.Context, host uint16, conn worker.Filer) error
	udpCarrier
}

// publish takes the port on every loopback address of this machine. Nothing is
// accepted before serve. With Host 0 it takes a free port.
func publish(mapping api.PortMapping) (*published, error) {
	const tries = 8 // a port that is free on one address may be taken on the other
	for range tries {
		p := &published{mapping: mapping, conns: map[tcpConn]time.Time{}}
		err := p.listen()
		if err == nil {
			return p, nil
		}
		if mapping.Host != 0 || !errors.Is(err, syscall.EADDRINUSE) {
			return nil, err
		}
	}
	return nil, &api.Error{Code: "port-taken", Message: "no port is free on both loopback addresses", Status: statusConflict}
}

func (p *published) listen() error {
	for i, host := range loopbacks {
		at := net.JoinHostPort(host, strconv.Itoa(int(p.mapping.Host)))
		var err error
		if p.mapping.UDP() {
			err = p.listenUDP(at)
		} else {
			err = p.listenTCP(at)
		}
		if i > 0 && errors.Is(err, syscall.EADDRNOTAVAIL) { // a machine without IPv6
			continue
		}
		if err != nil {
			p.close() // else it is we who have the port
			return p.taken(err)
		}
	}
	return nil
}

func (p *published) listenTCP(at string) error {
	addr, err := net.ResolveTCPAddr("tcp", at)
	if err != nil {
		return err
	}
	l, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return err
	}
	p.tcp = append(p.tcp, l)
	p.mapping.Host = uint16(l.Addr().(*net.TCPAddr).Port) //nolint:gosec // a port
	return nil
}

func (p *published) listenUDP(at string) error {
	if err := canPublishUDP(); err != nil {
		return err
	}
	addr, err := net.ResolveUDPAddr("udp", at)
	if err != nil {
		return err
	}
	conn, err := net.ListenUDP("udp", addr)
	if err != nil {
		return err
	}
	p.udp = append(p.udp, conn)
	p.mapping.Host = uint16(conn.LocalAddr().(*net.UDPAddr).Port) //nolint:gosec // a port
	return nil
}

// taken says who has the port, if that can be seen, and what to do.
func (p *published) taken(err error) error {
	if p.mapping.Host == 0 || !errors.Is(err, syscall.EADDRINUSE) && !errors.Is(err, syscall.EACCES) {
		return err
	}
	who := ""
	if errors.Is(err, syscall.EADDRINUSE) {
		if who = holderOf(p.mapping.UDP(), p.mapping.Host); who != "" {
			who = ", which " + who + " has"
		}
	}
	return &api.Error{
		Code:    "port-taken",
		Message: fmt.Sprintf("publish port %d%s: %v", p.mapping.Host, who, err),
		Hint:    fmt.Sprintf("choose another one: -p %d:%d, or let us choose: -p 0:%d", nextPort(p.mapping.Host), p.mapping.App, p.mapping.App),
		Status:  statusConflict,
	}
}

func nextPort(port uint16) uint16 { return max(port+1, 1024) }

// serve hands every connection to the app until close.
func (p *published) serve(ctx context.Context, to carrier, log *slog.Logger) {
	for _, l := range p.tcp {
		p.work.Go(func() { p.accept(ctx, l, to, log) })
	}
	for _, conn := range p.udp {
		p.work.Go(func() { p.relay(ctx, conn, to, log) })
	}
}

func (p *published) accept(ctx context.Context, l *net.TCPListener, to carrier, log *slog.Logger) {
	for {
		accepted, err := l.AcceptTCP()
		if err != nil {
			return
		}
		conn, err := unwatch(accepted)
		if err != nil {
			log.Debug("published port", "port", p.mapping.Host, "error", err)
			continue
		}
		if !p.enter(conn) {
			abort(conn) //nolint:errcheck // it is closed next
			conn.Close()
			continue
		}
		p.work.Go(func() {
			defer p.leave(conn)
			if err := to.Inbound(ctx, p.mapping.Host, conn); err != nil {
				log.Debug("published port", "port", p.mapping.Host, "error", err)
			}
		})
	}
}

func (p *published) enter(conn tcpConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil || len(p.conns) >= maxInbound {
		return false
	}
	p.conns[conn] = time.Now()
	return true
}

func (p *published) leave(conn tcpConn) {
	p.mu.Lock()
	delete(p.conns, conn)
	p.mu.Unlock()
	conn.Close()
}

func (p *published) open() map[tcpConn]time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.conns)
}

// close takes the port away and cuts what is open, whatever the worker does:
// the sockets that it was passed are reset under its hands.
func (p *published) close() {
	for _, l := range p.tcp {
		l.Close()
	}
	for _, conn := range p.udp {
		conn.Close()
	}
	open := p.open()
	p.mu.Lock()
	p.conns = nil
	p.mu.Unlock()
	for conn := range open {
		abort(conn) //nolint:errcheck // it has ended
	}
}

// wait returns when nothing of the port is left. A worker that does not answer
// for a connection that was cut is waited for until it is ended.
func (p *published) wait() { p.work.Wait() }

// status is the port as people see it.
func (p *published) status() api.Port {
	port := api.Port{PortMapping: p.mapping}
	for _, l := range p.tcp {
		port.Addresses = append(port.Addresses, l.Addr().String())
	}
	for _, conn := range p.udp {
		port.Addresses = append(port.Addresses, conn.LocalAddr().String())
	}
	p.mu.Lock()
	port.Connections = len(p.conns) + p.relays
	p.mu.Unlock()
	if p.right != nil {
		port.Grant = p.right.decision.Rule
	}
	return port
}
