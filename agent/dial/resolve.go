package dial

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// Bounds of a look-up.
const (
	resolveTimeout = 10 * time.Second
	maxAddrs       = 16 // of each family that are looked at
	// resolutionDelay is that of RFC 8305, section 3: how long the other family
	// is waited for once one has answered with something that can be dialled.
	resolutionDelay = 50 * time.Millisecond
)

// Resolve returns the addresses of a name, IPv6 first. It is called only after
// a yes to the name, so that a query carries nothing out that the user did not
// let out. No addresses and no error mean that the proxy of the route resolves.
func (d *Dialler) Resolve(ctx context.Context, route Route, host string) ([]netip.Addr, error) {
	if route.remoteNames() {
		return nil, checkRemoteName(host)
	}
	addrs, err := d.lookup(ctx, host)
	var dns *net.DNSError
	if err != nil && route.proxy != nil && errors.As(err, &dns) {
		return nil, checkRemoteName(host)
	}
	return addrs, err
}

type answer struct {
	addrs []netip.Addr
	err   error
}

// lookup asks for both families at once, unless that was done a moment ago.
func (d *Dialler) lookup(ctx context.Context, host string) ([]netip.Addr, error) {
	if addrs := d.recent.get(host); addrs != nil {
		return addrs, nil
	}
	addrs, err := d.lookupNow(ctx, host)
	if err == nil && len(addrs) > 0 {
		d.recent.put(host, addrs)
	}
	return addrs, err
}

func (d *Dialler) lookupNow(ctx context.Context, host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	six, four := d.query(ctx, "ip6", host), d.query(ctx, "ip4", host)
	var got6, got4 *answer
	var patience <-chan time.Time
	for got6 == nil || got4 == nil {
		var came answer
		select {
		case came = <-six:
			got6, six = &came, nil
		case came = <-four:
			got4, four = &came, nil
		case <-patience:
			return gather(got6, got4)
		}
		if patience == nil && hasPublic(came.addrs) {
			patience = time.After(resolutionDelay)
		}
	}
	return gather(got6, got4)
}

// query ends with ctx: the channel has room for an answer nobody waits for.
func (d *Dialler) query(ctx context.Context, network, host string) <-chan answer {
	reply := make(chan answer, 1)
	go func() {
		addrs, err := d.resolver.LookupNetIP(ctx, network, host+".") // absolute: no search domains
		for i := range addrs {
			addrs[i] = addrs[i].Unmap()
		}
		reply <- answer{addrs[:min(len(addrs), maxAddrs)], err}
	}()
	return reply
}

// hasPublic: only then can the other family not change what is asked of the user.
func hasPublic(addrs []netip.Addr) bool {
	for _, addr := range addrs {
		if sandbox.AddressClass(addr) == sandbox.AddressPublic {
			return true
		}
	}
	return false
}

// gather puts what has come together; nil answers have not.
func gather(answers ...*answer) (addrs []netip.Addr, err error) {
	for _, a := range answers {
		if a != nil {
			addrs = append(addrs, a.addrs...)
			err = errors.Join(err, a.err)
		}
	}
	if len(addrs) > 0 {
		return addrs, nil
	}
	return nil, err
}

// localSuffixes are domains that networks use for their own machines (RFC 6761,
// RFC 6762, RFC 8375, ICANN's .internal, and what routers and companies use).
var localSuffixes = []string{
	"local", "localhost", "localdomain", "internal", "intranet", "private", "lan", "home", "corp", "home.arpa",
}

// looksLocal says whether a name is likely one of a machine nearby.
func looksLocal(host string) bool {
	if !strings.Contains(host, ".") {
		return true
	}
	for _, suffix := range localSuffixes {
		if strings.HasSuffix(host, "."+suffix) {
			return true
		}
	}
	return false
}

func checkRemoteName(host string) error {
	if looksLocal(host) {
		return fmt.Errorf("%w: %s looks like a local name, and the upstream proxy would resolve it where its address cannot be checked", sandbox.ErrDenied, host)
	}
	return nil
}
