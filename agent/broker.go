package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/dial"
	"github.com/consentry/consentry/agent/userdata"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

// broker is the way out of one run. What it is asked comes from the app's
// worker, which may be compromised: everything is checked again here.
type broker struct {
	engine  *consent.Engine
	data    *userdata.Service
	leases  *leases
	handles *handles
	tally   *tally
	dialler *dial.Dialler
	offline *offline
	app     app.App
	run     string
	ask     consent.Ask
	flows   *flows
	folders *folders
	now     func() time.Time
}

var _ sandbox.Broker = (*broker)(nil)

// Dial decides about the name, resolves it, decides about the address where
// that is not a public one, and connects to what it decided about. Where the
// user's upstream proxy resolves the name there is no address to decide about.
func (b *broker) Dial(ctx context.Context, want sandbox.Flow) (net.Conn, error) {
	target, err := canonicalTarget(want)
	if err != nil {
		return nil, err
	}
	if want.GrantedOnly && !b.allows(target) {
		return nil, fmt.Errorf("%s: %w: no rule allows it, and it is not asked about", target, sandbox.ErrDenied)
	}
	var granted []grantedTarget
	addrs := []netip.Addr{target.addr}
	if !target.addr.IsValid() {
		g, err := b.decide(ctx, consent.NetConnect, target.String(), want.Reason)
		if err != nil {
			return nil, err
		}
		granted = append(granted, g)
	}
	route, err := b.dialler.Route(target.dialled())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrUnreachable, err)
	}
	if !target.addr.IsValid() {
		if addrs, err = b.resolve(ctx, route, target); err != nil {
			return nil, err
		}
		if len(addrs) == 0 { // the proxy resolves
			return b.connect(ctx, route, target, nil, granted)
		}
	}
	return b.dialJudged(ctx, route, target, addrs, granted, want.Reason)
}

func (b *broker) resolve(ctx context.Context, route dial.Route, target netTarget) ([]netip.Addr, error) {
	addrs, err := b.dialler.Resolve(ctx, route, target.host)
	switch {
	case errors.Is(err, sandbox.ErrDenied):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%s: %w: %w", target.host, sandbox.ErrUnreachable, err)
	case len(addrs) == 0 && !route.Proxied():
		return nil, fmt.Errorf("%s: %w: it has no address", target.host, sandbox.ErrUnreachable)
	}
	return addrs, nil
}

// dialJudged dials those of addrs that may be dialled: all the public ones, or
// one local one after a yes of its own.
func (b *broker) dialJudged(ctx context.Context, route dial.Route, target netTarget, addrs []netip.Addr, granted []grantedTarget, reason string) (net.Conn, error) {
	addr, class, err := pin(addrs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", target, err)
	}
	if !target.addr.IsValid() && class == sandbox.AddressPublic {
		return b.connect(ctx, route, target, publicOf(addrs), granted)
	}
	if !target.addr.IsValid() {
		reason = fmt.Sprintf("%s is at this address", target.host)
	}
	g, err := b.decide(ctx, consent.NetConnect, target.at(addr).String(), reason)
	if err != nil {
		return nil, err
	}
	if route, err = b.dialler.At(route, target.dialled(), addr); err != nil {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrUnreachable, err)
	}
	return b.connect(ctx, route, target, []netip.Addr{addr}, append(granted, g))
}

// allows says whether a rule allows target, without asking or recording.
func (b *broker) allows(target netTarget) bool {
	d, found := b.engine.Lookup(consent.Request{App: b.app, Run: b.run, Kind: consent.NetConnect, Target: target.String()})
	return found && d.Verdict == consent.Allow
}

// decide asks the engine and turns a no into the broker's error.
func (b *broker) decide(ctx context.Context, kind consent.Kind, target, reason string) (grantedTarget, error) {
	req := consent.Request{App: b.app, Run: b.run, Kind: kind, Target: target, Reason: reason}
	if right := b.wish(kind, target); right != nil && reason == "" {
		req.Reason, req.FromManifest = right.Reason, true
	}
	if kind == consent.NetConnect {
		online, done, err := b.offline.while(ctx)
		if err != nil {
			return grantedTarget{}, fmt.Errorf("%s: %w", target, err)
		}
		defer done()
		ctx = online
	}
	d := b.engine.Decide(ctx, req, b.ask)
	if d.Verdict == consent.Allow || d.Given != "" && kind.IsData() {
		return grantedTarget{request: req, decision: d}, nil
	}
	if kind.ByDataAPI() && (d.Source == consent.FromNoInput || d.Source == consent.FromLearn) {
		return grantedTarget{}, b.unasked(kind, target)
	}
	switch d.Source {
	case consent.FromHold:
		return grantedTarget{}, fmt.Errorf("%s %s: %w", kind, target, sandbox.ErrHeld)
	case consent.FromFlood:
		return grantedTarget{}, fmt.Errorf("%s %s: %w", kind, target, sandbox.ErrBusy)
	default:
		return grantedTarget{}, fmt.Errorf("%s %s: %w", kind, target, sandbox.ErrDenied)
	}
}

// unasked is the no of which only the author of the app, or whoever has started
// it, can make a question.
func (b *broker) unasked(kind consent.Kind, target string) error {
	if b.app.Manifest != nil && b.wish(kind, target) == nil {
		return fmt.Errorf("%s: %w", kind, sandbox.ErrUndeclared)
	}
	return fmt.Errorf("%s: %w", kind, sandbox.ErrBlocked)
}

// wish finds the manifest's line that covers a target, for its reason.
func (b *broker) wish(kind consent.Kind, target string) *app.Right {
	if b.app.Manifest == nil {
		return nil
	}
	for i, right := range b.app.Manifest.Rights {
		wide := right.Target
		if kind.IsData() {
			wide = strings.ReplaceAll(wide, "?", "") // the mark of a field the app can do without
		}
		if right.Kind == string(kind) && consent.Covers(kind, wide, target) {
			return &b.app.Manifest.Rights[i]
		}
	}
	return nil
}

func (b *broker) connect(ctx context.Context, route dial.Route, to netTarget, addrs []netip.Addr, granted []grantedTarget) (net.Conn, error) {
	if to.network == sandbox.NetworkPing {
		return b.connectPing(to, addrs, granted)
	}
	conn, err := b.dialler.Dial(ctx, route, to.dialled(), addrs)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", to, farEnd(err), err)
	}
	return b.flows.add(conn, flowAbout{target: to, via: route.Via(), began: b.now()}, granted)
}

// File gives a folder that the app wants to look into, after a yes.
func (b *broker) File(ctx context.Context, req sandbox.FileRequest) error {
	return b.folders.touch(ctx, b, req)
}

// grantedTarget is a yes and what it was for.
type grantedTarget struct {
	request  consent.Request
	decision consent.Decision
}

func (g grantedTarget) use(in, out int64) consent.Use {
	return consent.Use{
		App: g.request.App, Run: g.request.Run, Kind: g.request.Kind, Target: g.request.Target,
		Rule: g.decision.Rule, Request: g.decision.Request, In: in, Out: out,
	}
}

// netTarget is where a flow goes: a name, or an address when addr is valid.
type netTarget struct {
	network string
	host    string
	addr    netip.Addr
	port    uint16
}

func (t netTarget) String() string {
	return t.network + "/" + net.JoinHostPort(t.host, strconv.Itoa(int(t.port)))
}

func (t netTarget) at(addr netip.Addr) netTarget {
	return netTarget{network: t.network, host: addr.String(), addr: addr, port: t.port}
}

// canonicalTarget checks what a worker said and gives it its one form.
func canonicalTarget(want sandbox.Flow) (netTarget, error) {
	ping := want.Network == sandbox.NetworkPing
	if want.Network != "tcp" && want.Network != "udp" && !ping || ping && want.Port != sandbox.PingPort {
		return netTarget{}, fmt.Errorf("%w: network %q", sandbox.ErrInvalid, want.Network)
	}
	if want.Port == 0 {
		return netTarget{}, fmt.Errorf("%w: port 0", sandbox.ErrInvalid)
	}
	host, err := sandbox.CanonicalHost(want.Host)
	if err != nil {
		return netTarget{}, fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	t := netTarget{network: want.Network, host: host, port: want.Port}
	if isThisComputer(host) {
		return t.at(netip.AddrFrom4([4]byte{127, 0, 0, 1})), nil
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		t.addr = addr
	}
	return t, nil
}

// isThisComputer follows RFC 6761, section 6.3, for localhost.
func isThisComputer(host string) bool {
	return host == sandbox.HostName || host == "localhost" || strings.HasSuffix(host, ".localhost")
}

// dialled is the target in the dialler's words.
func (t netTarget) dialled() dial.Target {
	return dial.Target{Network: t.network, Host: t.host, Port: t.port}
}

// publicOf keeps the addresses that a yes to the name is enough for.
func publicOf(addrs []netip.Addr) []netip.Addr {
	return slices.DeleteFunc(slices.Clone(addrs), func(a netip.Addr) bool {
		return sandbox.AddressClass(a) != sandbox.AddressPublic
	})
}

// pin chooses the address that will be dialled: a public one if there is one,
// else a local one, of IPv4 first, as few local networks route IPv6. Metadata
// services, multicast and addresses of our own making are never it.
func pin(addrs []netip.Addr) (netip.Addr, sandbox.AddressKind, error) {
	var local []netip.Addr
	for _, addr := range addrs {
		switch class := sandbox.AddressClass(addr); class {
		case sandbox.AddressPublic:
			return addr, class, nil
		case sandbox.AddressLoopback, sandbox.AddressPrivate, sandbox.AddressLinkLocal, sandbox.AddressCGNAT:
			local = append(local, addr)
		default:
		}
	}
	if len(local) == 0 {
		return netip.Addr{}, 0, fmt.Errorf("%w: no address that an app may be given", sandbox.ErrDenied)
	}
	slices.SortStableFunc(local, func(a, b netip.Addr) int { return cmp.Compare(a.BitLen(), b.BitLen()) })
	return local[0], sandbox.AddressClass(local[0]), nil
}
