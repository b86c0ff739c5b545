package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"syscall"

	"github.com/consentry/consentry/agent/api"
)

// loopbacks are the only addresses that ports are published on (promise P9).
var loopbacks = []string{"127.0.0.1", "::1"}

// published is one port of an app on the loopback addresses.
type published struct {
	mapping   api.PortMapping
	listeners []*net.TCPListener
	accepts   sync.WaitGroup
}

// inbound takes over an accepted connection.
type inbound func(ctx context.Context, port uint16, conn *net.TCPConn) error

// publish takes the port on every loopback address of this machine. Nothing is
// accepted before serve. With Host 0 it takes a free port.
func publish(mapping api.PortMapping) (*published, error) {
	p := &published{mapping: mapping}
	for i, host := range loopbacks {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(int(p.mapping.Host))))
		if err != nil {
			if i > 0 && errors.Is(err, syscall.EADDRNOTAVAIL) { // a machine without IPv6
				continue
			}
			p.close()
			return nil, &api.Error{
				Code:    "port-taken",
				Message: fmt.Sprintf("publish port %d: %v", p.mapping.Host, err),
				Hint:    fmt.Sprintf("choose another one: -p %d:%d, or let us choose: -p 0:%d", nextPort(mapping.Host), mapping.App, mapping.App),
				Status:  statusConflict,
			}
		}
		tcp, ok := l.(*net.TCPListener)
		if !ok {
			return nil, errors.Join(fmt.Errorf("listener is a %T", l), l.Close())
		}
		p.listeners = append(p.listeners, tcp)
		if addr, ok := l.Addr().(*net.TCPAddr); ok {
			p.mapping.Host = uint16(addr.Port) //nolint:gosec // a port
		}
	}
	return p, nil
}

func nextPort(port uint16) uint16 { return max(port+1, 1024) }

// serve hands every connection to the app until close.
func (p *published) serve(ctx context.Context, to inbound, log *slog.Logger) {
	for _, l := range p.listeners {
		p.accepts.Go(func() {
			for {
				conn, err := l.AcceptTCP()
				if err != nil {
					return
				}
				if err := to(ctx, p.mapping.App, conn); err != nil {
					log.Debug("published port", "port", p.mapping.Host, "error", err)
				}
			}
		})
	}
}

func (p *published) close() {
	for _, l := range p.listeners {
		l.Close()
	}
	p.accepts.Wait()
}
