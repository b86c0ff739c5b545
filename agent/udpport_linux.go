package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

func canPublishUDP() error { return nil }

// udpCarrier takes the datagrams of one client to the app.
type udpCarrier interface {
	InboundUDP(ctx context.Context, appPort uint16, pair *os.File) error
}

// relay gives every client that sends to conn an association of its own with
// the app. The UDP socket stays here: a worker that had it could send anywhere.
func (p *published) relay(ctx context.Context, conn *net.UDPConn, to udpCarrier, log *slog.Logger) {
	clients := map[netip.AddrPort]*udpClient{}
	var mu sync.Mutex
	defer func() {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range clients {
			c.pair.Close()
		}
	}()
	buf := make([]byte, maxDatagram)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		mu.Lock()
		c := clients[from]
		mu.Unlock()
		if c == nil {
			if c = p.newUDPClient(conn, from); c == nil {
				continue // too many: datagrams may be lost
			}
			mu.Lock()
			clients[from] = c
			mu.Unlock()
			p.work.Go(func() {
				if err := c.run(ctx, p.mapping.App, to); err != nil {
					log.Debug("published UDP port", "port", p.mapping.Host, "error", err)
				}
				mu.Lock()
				delete(clients, from)
				mu.Unlock()
				p.mu.Lock()
				p.relays--
				p.mu.Unlock()
			})
		}
		if n > 0 { // an empty one would read as a hang-up on the pair
			c.pair.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:errcheck // the write tells
			c.pair.Write(buf[:n])                                //nolint:errcheck // a datagram may be lost
		}
	}
}

// udpClient is one client of a published UDP port.
type udpClient struct {
	socket *net.UDPConn
	from   netip.AddrPort
	pair   net.Conn // each read and write is one datagram
	theirs *os.File
}

// newUDPClient is nil when there are too many, or no descriptors left.
func (p *published) newUDPClient(socket *net.UDPConn, from netip.AddrPort) *udpClient {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil || p.relays >= maxInbound {
		return nil
	}
	pair, theirs, err := datagramPair()
	if err != nil {
		return nil
	}
	p.relays++
	return &udpClient{socket: socket, from: from, pair: pair, theirs: theirs}
}

// run carries answers until the worker says that the association has ended.
func (c *udpClient) run(ctx context.Context, port uint16, to udpCarrier) error {
	var answers sync.WaitGroup
	answers.Go(func() {
		answer := func(data []byte) {
			c.socket.WriteToUDPAddrPort(data, c.from) //nolint:errcheck // a datagram may be lost
		}
		for withDatagram(c.pair, answer) == nil {
		}
	})
	err := to.InboundUDP(ctx, port, c.theirs)
	c.theirs.Close()
	c.pair.Close()
	answers.Wait()
	return err
}

// datagramPair is two ends that keep datagrams apart.
func datagramPair() (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socketpair: %w", err)
	}
	ours := os.NewFile(uintptr(fds[0]), "udp")
	defer ours.Close()
	theirs := os.NewFile(uintptr(fds[1]), "udp-peer")
	pair, err := net.FileConn(ours)
	if err != nil {
		theirs.Close()
		return nil, nil, err
	}
	return pair, theirs, nil
}
