package portal

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// App is the app's side.
type App interface {
	// DialApp connects to a TCP port inside the app.
	DialApp(ctx context.Context, port uint16) (net.Conn, error)
	// ServeInbound carries conn to a port of the app and takes it over.
	ServeInbound(ctx context.Context, conn net.Conn, port uint16) error
}

// Portal serves all published ports of one app.
type Portal struct {
	app App
	log *slog.Logger

	mu    sync.Mutex
	ports map[uint16]*door // by the port on the user's computer
}

// New makes a portal without ports.
func New(app App, log *slog.Logger) *Portal {
	return &Portal{app: app, log: log, ports: map[uint16]*door{}}
}

// Set makes ports the only ones there are. Connections of a port that goes are
// cut; one whose policy changes keeps them, and uses it from the next answer on.
func (p *Portal) Set(ports []Port) {
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted := map[uint16]Port{}
	for _, port := range ports {
		wanted[port.Host] = port
	}
	for number, d := range p.ports {
		port, stays := wanted[number]
		if stays && port.App == d.app && port.Mode == d.mode {
			d.change(port)
			continue
		}
		d.close()
		delete(p.ports, number)
	}
	for number, port := range wanted {
		if p.ports[number] == nil {
			p.ports[number] = newDoor(port, p.app, p.log)
		}
	}
}

// Close cuts every connection.
func (p *Portal) Close() { p.Set(nil) }

// Bounds of connections.
const (
	maxConns = 2048 // of one port
	// A client that has begun to speak has this long for its first line.
	lineTimeout = 5 * time.Second
	// A silent one may wait for the app to speak first.
	silence = 300 * time.Millisecond
)

var errTLS = errors.New("TLS is refused on a port that is not raw, as nobody could look into it: publish it with /raw")

// Serve carries a connection that was accepted on a port of the user's computer
// and returns when it has ended. It takes conn over.
func (p *Portal) Serve(ctx context.Context, conn *net.TCPConn, port uint16) error {
	p.mu.Lock()
	d := p.ports[port]
	p.mu.Unlock()
	if d == nil {
		conn.Close()
		return fmt.Errorf("%w: port %d is not published", sandbox.ErrInvalid, port)
	}
	tracked, ok := d.enter(conn)
	if !ok {
		reset(conn)
		return fmt.Errorf("%w: port %d has %d connections", sandbox.ErrBusy, port, maxConns)
	}
	defer d.leave(tracked)
	stop := context.AfterFunc(ctx, tracked.cut)
	defer stop()
	return d.serve(ctx, tracked)
}

// reset makes the client see that nobody is there.
func reset(conn *net.TCPConn) {
	conn.SetLinger(0) //nolint:errcheck // Close follows
	conn.Close()
}
