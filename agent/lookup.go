package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

var _ sandbox.Lookuper = (*broker)(nil)

// Lookup asks the user about the host, as of a flow to it on UDP port 53, then
// the system's resolver about the records.
func (b *broker) Lookup(ctx context.Context, want sandbox.Lookup) (sandbox.Records, error) {
	name, err := checkLookup(want)
	if err != nil {
		return sandbox.Records{}, err
	}
	target := netTarget{network: "udp", host: want.Host, port: sandbox.DNSPort}
	granted, err := b.decide(ctx, consent.NetConnect, target.String(), "")
	if err != nil {
		return sandbox.Records{}, err
	}
	records, err := b.dialler.Records(ctx, want.Type, name)
	b.engine.Used(granted.use(0, 0))
	var dns *net.DNSError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return sandbox.Records{}, nil
	case err != nil:
		return sandbox.Records{}, fmt.Errorf("%s of %s: %w: %w", want.Type, name, sandbox.ErrUnreachable, err)
	}
	return records, nil
}

// checkLookup returns the whole name. It comes from a worker that may be
// compromised: the host of the verdict must be the one that is asked about.
func checkLookup(want sandbox.Lookup) (string, error) {
	host, err := sandbox.CanonicalHost(want.Host)
	_, isAddress := netip.ParseAddr(host)
	if err != nil || host != want.Host || isAddress == nil || isThisComputer(host) {
		return "", fmt.Errorf("%w: look-up of host %.80q", sandbox.ErrInvalid, want.Host)
	}
	if want.Service == "" {
		return host, nil
	}
	name := want.Service + "." + host
	for label := range strings.SplitSeq(want.Service, ".") {
		plain, isService := strings.CutPrefix(label, "_")
		if _, err := sandbox.CanonicalHost(plain + ".x"); !isService || err != nil {
			return "", fmt.Errorf("%w: look-up of service %.80q", sandbox.ErrInvalid, want.Service)
		}
	}
	if len(name) > sandbox.MaxHostLen {
		return "", fmt.Errorf("%w: look-up of a name of %d bytes", sandbox.ErrInvalid, len(name))
	}
	return name, nil
}
