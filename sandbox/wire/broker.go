package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// The calls of a Broker on the wire. dialled answers verbDial, with the
// connection as its one file; the caller says verbClosed, for some at a time, when
// it is done with them.
const (
	verbDial   = "broker.dial"
	verbClosed = "broker.closed"
	verbOpen   = "broker.open"
	verbFile   = "broker.file"
)

type dialled struct {
	Flow uint64 `json:"flow"`
}

// closed is what verbClosed says.
type closed struct {
	Flows []uint64 `json:"flows"`
}

// NewBroker returns the Broker that the other side of p serves.
func NewBroker(p *Peer) sandbox.Broker {
	return remoteBroker{p, &closings{tell: func(ids []uint64) {
		//nolint:errcheck // a lost agent has closed the flows already
		p.Tell(verbClosed, closed{ids})
	}}}
}

type remoteBroker struct {
	peer     *Peer
	closings *closings
}

// closings are flows that are closed and not yet told of. To wake the agent for
// each would cost both nearly as much as the flow.
type closings struct {
	tell func(ids []uint64)

	mu  sync.Mutex
	ids []uint64
}

const (
	// tellAfter is how long the first waits for others.
	tellAfter = 5 * time.Millisecond
	// tellMost are told at once.
	tellMost = 64
)

func (c *closings) add(id uint64) {
	c.mu.Lock()
	c.ids = append(c.ids, id)
	n := len(c.ids)
	c.mu.Unlock()
	switch n {
	case 1:
		time.AfterFunc(tellAfter, c.flush)
	case tellMost:
		c.flush()
	}
}

func (c *closings) flush() {
	c.mu.Lock()
	ids := c.ids
	c.ids = nil
	c.mu.Unlock()
	if len(ids) > 0 {
		c.tell(ids)
	}
}

func (b remoteBroker) Dial(ctx context.Context, flow sandbox.Flow) (net.Conn, error) {
	var got dialled
	files, err := b.peer.Call(ctx, verbDial, flow, &got)
	if err != nil {
		return nil, err
	}
	done := sync.OnceFunc(func() { b.closings.add(got.Flow) })
	if len(files) != 1 {
		fdwire.CloseAll(files)
		done()
		return nil, fmt.Errorf("%w: flow came with %d files", sandbox.ErrUnavailable, len(files))
	}
	conn, err := connOf(flow.Network, files[0], done)
	if err != nil {
		done()
		return nil, fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
	}
	return conn, nil
}

// connOf takes file over.
func connOf(network string, file *os.File, closed func()) (net.Conn, error) {
	if network == "tcp" {
		return newSocket(file, closed)
	}
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	if pair, ok := conn.(*net.UnixConn); ok && network == "udp" {
		return &datagramFlow{UnixConn: pair, closed: closed}, nil
	}
	return &otherFlow{Conn: conn, closed: closed}, nil
}

func (b remoteBroker) File(ctx context.Context, req sandbox.FileRequest) error {
	_, err := b.peer.Call(ctx, verbFile, req, nil)
	return err
}

type otherFlow struct {
	net.Conn
	closed func()
}

func (f *otherFlow) Close() error {
	err := f.Conn.Close()
	f.closed()
	return err
}

// BrokerServer answers the calls of a remote Broker. Close it when the peer
// has gone: it ends the flows that are still open.
type BrokerServer struct {
	broker sandbox.Broker

	mu     sync.Mutex
	lastID uint64
	flows  map[uint64]net.Conn
	closed bool
}

// NewBrokerServer serves broker.
func NewBrokerServer(broker sandbox.Broker) *BrokerServer {
	return &BrokerServer{broker: broker, flows: map[uint64]net.Conn{}}
}

// Handle answers the Broker's verbs; ok is false for any other verb.
func (s *BrokerServer) Handle(ctx context.Context, verb string, body json.RawMessage) (reply Reply, ok bool, err error) {
	switch verb {
	case verbDial:
		reply, err = s.dial(ctx, body)
	case verbClosed:
		err = s.flowClosed(body)
	case verbFile:
		err = s.file(ctx, body)
	case verbLookup:
		reply, err = s.lookup(ctx, body)
	default:
		return s.data(ctx, verb, body)
	}
	return reply, true, err
}

func (s *BrokerServer) dial(ctx context.Context, body json.RawMessage) (Reply, error) {
	var want sandbox.Flow
	if err := decode(body, &want); err != nil {
		return Reply{}, err
	}
	conn, err := s.broker.Dial(ctx, want)
	if err != nil {
		return Reply{}, err
	}
	file, err := passable(conn)
	if err != nil {
		conn.Close()
		return Reply{}, fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
	}
	id, ok := s.keep(conn)
	if !ok {
		conn.Close()
		file.Close()
		return Reply{}, sandbox.ErrUnavailable
	}
	return Reply{Body: dialled{Flow: id}, Files: []*os.File{file}}, nil
}

func (s *BrokerServer) keep(conn net.Conn) (uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return 0, false
	}
	s.lastID++
	s.flows[s.lastID] = conn
	return s.lastID, true
}

func (s *BrokerServer) flowClosed(body json.RawMessage) error {
	var which closed
	if err := decode(body, &which); err != nil {
		return err
	}
	var failed error
	for _, id := range which.Flows {
		failed = errors.Join(failed, s.close(id))
	}
	return failed
}

func (s *BrokerServer) close(id uint64) error {
	s.mu.Lock()
	conn := s.flows[id]
	delete(s.flows, id)
	s.mu.Unlock()
	if conn == nil {
		return fmt.Errorf("%w: flow %d is not open", sandbox.ErrInvalid, id)
	}
	return conn.Close()
}

func (s *BrokerServer) file(ctx context.Context, body json.RawMessage) error {
	var want sandbox.FileRequest
	if err := decode(body, &want); err != nil {
		return err
	}
	return s.broker.File(ctx, want)
}

// Close ends every open flow.
func (s *BrokerServer) Close() {
	s.mu.Lock()
	flows := s.flows
	s.flows, s.closed = nil, true
	s.mu.Unlock()
	for _, conn := range flows {
		conn.Close()
	}
}

func decode(body json.RawMessage, into any) error {
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	return nil
}

// passable returns an open file that another process can use in place of conn.
func passable(conn net.Conn) (*os.File, error) {
	filer, ok := conn.(interface{ File() (*os.File, error) })
	if !ok {
		return nil, fmt.Errorf("a %T cannot be passed to another process", conn)
	}
	return filer.File()
}
