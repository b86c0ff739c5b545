package dial

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"strconv"
	"time"

	"golang.org/x/time/rate"
)

// dialTimeout bounds one attempt at one address.
const dialTimeout = 10 * time.Second

// Config is what a Dialler is made of.
type Config struct {
	Resolver *net.Resolver // nil: the system's
	Proxies  Settings
	Log      *slog.Logger // of trouble with a proxy, once a minute; nil: nothing is logged
}

// Dialler resolves names and connects.
type Dialler struct {
	resolver *net.Resolver
	proxies  *proxies
	recent   *recent
	log      *slog.Logger
	seldom   rate.Sometimes // an app may try as often as it likes
}

const logEvery = time.Minute

// New makes a Dialler.
func New(c Config) *Dialler {
	if c.Resolver == nil {
		c.Resolver = net.DefaultResolver
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Dialler{
		resolver: c.Resolver, proxies: newProxies(c.Proxies), recent: newRecent(time.Now), log: c.Log,
		seldom: rate.Sometimes{First: 1, Interval: logEvery},
	}
}

// Target is where a flow goes.
type Target struct {
	Network string // "tcp" or "udp"
	Host    string // a canonical name, or an address
	Port    uint16
}

func (t Target) hostPort() string { return net.JoinHostPort(t.Host, strconv.Itoa(int(t.Port))) }

func (t Target) at(addr netip.Addr) string { return netip.AddrPortFrom(addr, t.Port).String() }

// Dial connects to t over route. addrs are the addresses of t that may be
// dialled; none, with a route that has a proxy, lets the proxy resolve t.Host.
// A TCP connection is for another process, which takes its File: see
// tcpfile.NewUnwatched.
func (d *Dialler) Dial(ctx context.Context, route Route, t Target, addrs []netip.Addr) (net.Conn, error) {
	var conn net.Conn
	var err error
	if route.proxy != nil {
		conn, err = d.dialThrough(ctx, route, t, addrs)
	} else {
		conn, err = race(ctx, interleave(addrs), t.connect)
	}
	if err != nil {
		return nil, err
	}
	return forPassing(conn)
}

func (t Target) connect(ctx context.Context, addr netip.Addr) (net.Conn, error) {
	if t.Network == "tcp" && addr.IsLoopback() {
		return connectHere(ctx, netip.AddrPortFrom(addr, t.Port))
	}
	return t.dial(ctx, addr)
}

func (t Target) dial(ctx context.Context, addr netip.Addr) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, t.Network, t.at(addr))
}
