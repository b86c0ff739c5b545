package portal

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// door is one published port.
type door struct {
	app  uint16
	mode Mode
	to   App
	now  atomic.Pointer[placard]
	http *webServer

	mu    sync.Mutex
	conns map[*client]struct{} // nil once the door is closed
}

// placard is what a door answers by; it is replaced as a whole.
type placard struct {
	port Port
	own  *http.CrossOriginProtection
}

func newDoor(port Port, app App, log *slog.Logger) *door {
	d := &door{app: port.App, mode: port.Mode, to: app, conns: map[*client]struct{}{}}
	d.change(port)
	d.http = newWebServer(d, app, log)
	return d
}

func (d *door) change(port Port) {
	if old := d.now.Load(); old == nil || !old.port.Equal(port) {
		d.now.Store(&placard{port: port, own: port.protection()})
	}
}

func (d *door) enter(conn *net.TCPConn) (*client, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.conns == nil || len(d.conns) >= maxConns {
		return nil, false
	}
	c := &client{TCPConn: conn, done: make(chan struct{})}
	d.conns[c] = struct{}{}
	return c, true
}

func (d *door) leave(c *client) {
	c.Close()
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.conns, c)
}

func (d *door) close() {
	d.mu.Lock()
	conns := d.conns
	d.conns = nil
	d.mu.Unlock()
	for c := range conns {
		c.cut()
	}
	d.http.close()
}

// client is one connection of the user's programs.
type client struct {
	*net.TCPConn
	once sync.Once
	done chan struct{} // closed with it
}

// Close may be called more than once.
func (c *client) Close() (err error) {
	c.once.Do(func() { err = c.TCPConn.Close(); close(c.done) })
	return err
}

// cut resets it.
func (c *client) cut() {
	c.SetLinger(0) //nolint:errcheck // Close follows
	c.Close()
}

var errNotHTTP = errors.New("this port is for HTTP only")

// serve looks at how the client begins.
func (d *door) serve(ctx context.Context, c *client) error {
	if d.mode == Raw {
		return d.to.ServeInbound(ctx, c.TCPConn, d.app)
	}
	said, err := listenTo(c.TCPConn, d.mode == Auto)
	if err == nil && said == undecided && d.mode == Auto {
		return d.serveSilent(ctx, c)
	}
	if err != nil {
		return err
	}
	return d.carry(ctx, c, said)
}

// carry takes a client whose first words are known to where they belong.
func (d *door) carry(ctx context.Context, c *client, said speech) error {
	switch {
	case said == speaksHTTP:
		return d.http.serve(c)
	case d.mode == HTTP, said == undecided:
		c.cut()
		return errNotHTTP
	case said == speaksTLS:
		c.cut()
		return errTLS
	}
	return d.to.ServeInbound(ctx, c.TCPConn, d.app)
}

// listenTo waits until it is clear how a client begins, and takes nothing from
// it. With mayBeSilent a client that says nothing is undecided after a moment.
func listenTo(conn *net.TCPConn, mayBeSilent bool) (speech, error) {
	wait := headTimeout
	if mayBeSilent {
		wait = silence
	}
	if err := conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return undecided, err
	}
	defer conn.SetReadDeadline(time.Time{}) //nolint:errcheck // it was set before
	began := false
	said := undecided
	err := peek(conn, func(head []byte) bool {
		if len(head) > 0 && !began {
			began = true
			conn.SetReadDeadline(time.Now().Add(lineTimeout)) //nolint:errcheck // the old one holds
		}
		said = sniff(head)
		return said != undecided
	})
	if isTimeout(err) {
		if began { // what could still become a request is for the guard
			return speaksHTTP, nil
		}
		return undecided, nil
	}
	return said, err
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
