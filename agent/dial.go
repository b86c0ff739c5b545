package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// Bounds of a dial.
const (
	resolveTimeout = 10 * time.Second
	dialTimeout    = 10 * time.Second // per address
	maxAddrs       = 16               // of a name that are looked at
)

// dialler resolves names and connects to addresses that were decided about.
type dialler struct {
	resolver *net.Resolver
}

// resolve asks the system's resolver. It is called only after a yes to the
// name, so that a query carries nothing out that the user did not let out.
func (d dialler) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	addrs, err := d.resolver.LookupNetIP(ctx, "ip", host+".") // absolute: no search domains
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", host, sandbox.ErrUnreachable, err)
	}
	for i := range addrs {
		addrs[i] = addrs[i].Unmap()
	}
	return addrs[:min(len(addrs), maxAddrs)], nil
}

// dial connects to the first of addrs that answers.
func (d dialler) dial(ctx context.Context, network string, addrs []netip.Addr, port uint16) (net.Conn, error) {
	dialer := net.Dialer{Timeout: dialTimeout}
	var failed []error
	for _, addr := range addrs {
		conn, err := dialer.DialContext(ctx, network, netip.AddrPortFrom(addr, port).String())
		if err == nil {
			return conn, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}
