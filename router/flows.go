package router

import (
	"context"
	"net/netip"
	"sync"

	"github.com/consentry/consentry/sandbox"
)

// Limits bound what one app can make the router hold; zero means the default.
type Limits struct {
	Held  int // flows waiting for the Broker
	Flows int // flows in all, both directions, held ones included
	Names int // host names with an address
	// Bandwidth is what all flows together may move each way, in bytes a
	// second; 0 is no limit.
	Bandwidth int64
}

// Defaults of Limits.
const (
	DefaultHeld  = 1024
	DefaultFlows = 10_000
	DefaultNames = 16384
	maxNames     = synthetics / 2
)

func (l Limits) orDefault() Limits {
	if l.Held <= 0 {
		l.Held = DefaultHeld
	}
	if l.Flows <= 0 {
		l.Flows = DefaultFlows
	}
	if l.Names <= 0 {
		l.Names = DefaultNames
	}
	l.Names = min(l.Names, maxNames)
	return l
}

// flow is one TCP connection or UDP association from its first packet to its
// end. Its context ends with the router, or when the app has given up.
type flow struct {
	network string
	to      target
	ctx     context.Context
	cancel  context.CancelFunc

	// held and abort are guarded by flows.mu.
	held  bool
	abort func() // cuts what is open; nil while nothing is
}

func (f *flow) request() sandbox.Flow {
	return sandbox.Flow{Network: f.network, Host: f.to.host, Port: f.to.port}
}

// flows knows every flow, counts them, and is what shutting down waits for.
type flows struct {
	limits Limits
	names  *names
	wg     sync.WaitGroup

	mu     sync.Mutex
	all    map[*flow]struct{}
	held   int
	closed bool
}

func (t *flows) sizes() (all, held int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all), t.held
}

// begin makes a flow that is held, or says which limit stands against it. The
// caller must end it; end also releases the name of to.
func (t *flows) begin(ctx context.Context, network string, to target) (*flow, reason) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closed, len(t.all) >= t.limits.Flows:
		return nil, refuseFlows
	case t.held >= t.limits.Held:
		return nil, refuseHeld
	}
	f := &flow{network: network, to: to, held: true}
	f.ctx, f.cancel = context.WithCancel(ctx)
	t.all[f] = struct{}{}
	t.held++
	t.wg.Add(1)
	return f, dropNone
}

// opened ends the wait of f, and sets how it is cut from now on.
func (t *flows) opened(f *flow, abort func()) {
	t.mu.Lock()
	t.letGo(f)
	t.mu.Unlock()
	t.cutBy(f, abort)
}

// cutBy sets what cuts f from another goroutine; it is called at once when the
// router is closing.
func (t *flows) cutBy(f *flow, abort func()) {
	t.mu.Lock()
	closed := t.closed
	f.abort = abort
	t.mu.Unlock()
	if closed {
		abort()
	}
}

// silent ends the wait of f for the Broker, though nothing was opened.
func (t *flows) silent(f *flow) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.letGo(f)
}

func (t *flows) letGo(f *flow) {
	if f.held {
		f.held = false
		t.held--
	}
}

func (t *flows) end(f *flow) {
	t.mu.Lock()
	t.letGo(f)
	delete(t.all, f)
	t.mu.Unlock()
	f.cancel()
	t.names.release(f.to.name)
	t.wg.Done()
}

// closeAll cuts every flow, lets no other begin, and waits.
func (t *flows) closeAll() {
	t.mu.Lock()
	t.closed = true
	var aborts []func()
	for f := range t.all {
		f.cancel()
		if f.abort != nil {
			aborts = append(aborts, f.abort)
		}
	}
	t.mu.Unlock()
	for _, abort := range aborts {
		abort()
	}
	t.wg.Wait()
}

// service is who answers a flow.
type service int

const (
	nobody      service = iota // refused
	nowhere                    // a synthetic address without a name
	theBroker                  // somewhere outside, after a verdict
	theResolver                // DNS, whatever server the app believes it asks
	theDataAPI
)

// target is where a flow of the app goes.
type target struct {
	service service
	host    string // for theBroker: a canonical name or an address
	port    uint16
	name    *name // acquired, when host is a name
}

// lookup finds the target of a destination. The name in it, if any, has been
// acquired and must be released.
func (r *Router) lookup(dst netip.AddrPort) target {
	addr, port := dst.Addr(), dst.Port()
	switch {
	case port == sandbox.DNSPort:
		return target{service: theResolver}
	case isGateway(addr) && port == sandbox.DataAPIPort && r.data != nil:
		return target{service: theDataAPI}
	case onLink(addr):
		return target{service: nobody}
	case isSynthetic(addr):
		return r.named(addr, port)
	}
	return target{service: theBroker, host: addr.String(), port: port}
}

func (r *Router) named(addr netip.Addr, port uint16) target {
	n := r.names.acquire(addr)
	if n == nil {
		return target{service: nowhere}
	}
	return target{service: theBroker, host: n.host, port: port, name: n}
}
