package guestinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// distroCard is the card that WSL gives its machine.
const distroCard = "eth0"

// Bounds of a relay.
const (
	maxRelayed = 256 // connections at a time
	dialTime   = 10 * time.Second
)

// relay listens on the distro's own address and passes connections on to the
// app, until the host closes the stream. The host asks for it where the user
// chose so; the router sees none of it.
func (s *server) relay(ctx context.Context, c *guestwire.Call) error {
	var call guestwire.Relay
	if err := c.Read(&call); err != nil {
		return err
	}
	if !s.shared || call.Port == 0 {
		return fmt.Errorf("%w: a relay to port %d", sandbox.ErrInvalid, call.Port)
	}
	address, err := addressOfDistro()
	if err != nil {
		return err
	}
	listener, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: address.AsSlice()})
	if err != nil {
		return fmt.Errorf("relay: %w", err)
	}
	if err := c.Answer(guestwire.Relayed{Address: listener.Addr().(*net.TCPAddr).AddrPort()}); err != nil {
		return errors.Join(err, listener.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	var connections sync.WaitGroup
	connections.Go(func() { passOn(ctx, listener, call.Port) })
	io.Copy(io.Discard, c.Stream()) //nolint:errcheck // any end is the end
	cancel()
	listener.Close()
	connections.Wait()
	return nil
}

// addressOfDistro is the IPv4 address of the machine that all distros share.
func addressOfDistro() (netip.Addr, error) {
	card, err := net.InterfaceByName(distroCard)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%w: %s of WSL: %w: portproxy needs WSL's NAT network", sandbox.ErrNotSupported, distroCard, err)
	}
	addresses, err := card.Addrs()
	if err != nil {
		return netip.Addr{}, err
	}
	for _, a := range addresses {
		if prefix, err := netip.ParsePrefix(a.String()); err == nil && prefix.Addr().Is4() {
			return prefix.Addr(), nil
		}
	}
	return netip.Addr{}, fmt.Errorf("%w: %s of WSL has no IPv4 address: portproxy needs WSL's NAT network", sandbox.ErrNotSupported, distroCard)
}

// passOn serves connections until the listener is closed, and returns when all
// have ended.
func passOn(ctx context.Context, listener net.Listener, port uint16) {
	var open sync.WaitGroup
	defer open.Wait()
	slots := make(chan struct{}, maxRelayed)
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			conn.Close() // the app has enough
			continue
		}
		open.Go(func() {
			defer func() { <-slots }()
			defer conn.Close()
			app, err := dialApp(ctx, port)
			if err != nil {
				return
			}
			defer app.Close()
			stop := context.AfterFunc(ctx, func() { conn.Close(); app.Close() })
			defer stop()
			join(conn, app)
		})
	}
}

// join copies both ways until both have ended.
func join(a, b net.Conn) {
	var ways sync.WaitGroup
	for _, way := range [][2]net.Conn{{a, b}, {b, a}} {
		ways.Go(func() {
			io.Copy(way[0], way[1]) //nolint:errcheck // any end is the end
			if half, can := way[0].(interface{ CloseWrite() error }); can {
				half.CloseWrite() //nolint:errcheck // as above
			}
		})
	}
	ways.Wait()
}

// dialApp connects from within the app's network namespace, by the address that
// the app knows as its own. The thread that went there does not come back.
func dialApp(ctx context.Context, port uint16) (conn net.Conn, err error) {
	address, err := netip.ParsePrefix(sandbox.AppPrefix4)
	if err != nil {
		return nil, err
	}
	there, err := networkOfApp()
	if err != nil {
		return nil, err
	}
	defer there.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // and never unlocked
		if err = unix.Setns(int(there.Fd()), unix.CLONE_NEWNET); err != nil {
			return
		}
		dialer := net.Dialer{Timeout: dialTime}
		conn, err = dialer.DialContext(ctx, "tcp4", netip.AddrPortFrom(address.Addr(), port).String())
	}()
	<-done
	return conn, err
}

// networkOfApp is the one network namespace among our processes that is not
// ours: there is one app in this PID namespace.
func networkOfApp() (*os.File, error) {
	ours, err := os.Readlink("/proc/self/ns/net")
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		path := filepath.Join("/proc", e.Name(), "ns", "net")
		if theirs, err := os.Readlink(path); err == nil && theirs != ours {
			return os.Open(path)
		}
	}
	return nil, fmt.Errorf("%w: the app has no network of its own", sandbox.ErrUnavailable)
}
