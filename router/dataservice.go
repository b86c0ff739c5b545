package router

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// dataService hands connections to the gateway's data API to its handler.
type dataService struct {
	server http.Server
	queue  connQueue
}

// Bounds of one data API connection. Answers have no time limit: they wait for
// the user.
const (
	dataHeadTimeout = 10 * time.Second
	dataIdle        = 60 * time.Second
	dataHeadBytes   = 32 << 10
)

func newDataService(handler http.Handler) *dataService {
	return &dataService{
		server: http.Server{
			Handler: handler, ReadHeaderTimeout: dataHeadTimeout, IdleTimeout: dataIdle,
			MaxHeaderBytes: dataHeadBytes,
		},
		queue: connQueue{conns: make(chan net.Conn), closed: make(chan struct{})},
	}
}

func (d *dataService) run() { d.server.Serve(&d.queue) } //nolint:errcheck // it ends with close

func (d *dataService) close() {
	d.queue.Close()
	d.server.Close()
}

// serve returns when conn is closed.
func (d *dataService) serve(conn net.Conn) {
	tracked := &trackedConn{Conn: conn, done: make(chan struct{})}
	select {
	case d.queue.conns <- tracked:
		<-tracked.done
	case <-d.queue.closed:
		conn.Close()
	}
}

// connQueue is a net.Listener of connections made elsewhere.
type connQueue struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (q *connQueue) Accept() (net.Conn, error) {
	select {
	case conn := <-q.conns:
		return conn, nil
	case <-q.closed:
		return nil, net.ErrClosed
	}
}

func (q *connQueue) Close() error {
	q.once.Do(func() { close(q.closed) })
	return nil
}

func (q *connQueue) Addr() net.Addr {
	return &net.TCPAddr{IP: gateway4.AsSlice()}
}

// trackedConn tells when it was closed.
type trackedConn struct {
	net.Conn
	once sync.Once
	done chan struct{}
}

func (c *trackedConn) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.done) })
	return err
}
