package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"

	"github.com/consentry/consentry/agent/portal"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// SetPorts makes list all that is published over TCP. Connections of ports that
// are no longer in it are cut.
func (c *Client) SetPorts(ctx context.Context, list []portal.Port) error {
	_, err := c.peer.Call(ctx, verbPorts, ports{list}, nil)
	return err
}

// Filer is a socket that can be passed on: a duplicate of it is a file.
type Filer interface{ File() (*os.File, error) }

// Inbound hands a connection that was accepted on a published port to the
// worker, and returns when it has ended. conn stays the caller's.
func (c *Client) Inbound(ctx context.Context, host uint16, conn Filer) error {
	file, err := conn.File()
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = c.peer.Call(ctx, verbInbound, inbound{Host: host}, nil, file)
	return err
}

// InboundUDP hands one end of a pair, over which the datagrams of one client
// go, to the worker, and returns when the association has ended.
func (c *Client) InboundUDP(ctx context.Context, appPort uint16, pair *os.File) error {
	_, err := c.peer.Call(ctx, verbInbound, inbound{AppUDP: appPort}, nil, pair)
	return err
}

// ready waits until the network card of the app is there.
func (s *server) ready(ctx context.Context) error {
	select {
	case <-s.routing:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *server) setPorts(ctx context.Context, body json.RawMessage) error {
	var all ports
	if err := json.Unmarshal(body, &all); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	s.portal.Set(all.Ports)
	return nil
}

func (s *server) inbound(ctx context.Context, body json.RawMessage, files []*os.File) error {
	defer fdwire.CloseAll(files)
	var to inbound
	if err := json.Unmarshal(body, &to); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	if len(files) != 1 {
		return fmt.Errorf("%w: %d files for a connection", sandbox.ErrInvalid, len(files))
	}
	conn, err := net.FileConn(files[0])
	if err != nil {
		return err
	}
	files[0].Close() // the connection has a copy; another one would keep it open
	if to.AppUDP != 0 {
		return s.router.ServeInboundUDP(ctx, conn, to.AppUDP)
	}
	tcp, isTCP := conn.(*net.TCPConn)
	if !isTCP {
		conn.Close()
		return fmt.Errorf("%w: a %T for a TCP port", sandbox.ErrInvalid, conn)
	}
	return s.portal.Serve(ctx, tcp, to.Host)
}
