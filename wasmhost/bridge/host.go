package bridge

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// canonicalHost returns the one form of a host on which verdicts are made:
// an address as netip writes it, or a lower-case ASCII name without a trailing
// dot.
func canonicalHost(host string) (string, error) {
	if addr, err := netip.ParseAddr(host); err == nil {
		if addr.Zone() != "" {
			return "", fmt.Errorf("%w: address %q has a zone", sandbox.ErrInvalid, host)
		}
		return addr.Unmap().String(), nil
	}
	const maxName, maxLabel = 253, 63
	name := strings.ToLower(strings.TrimSuffix(host, "."))
	if name == "" || len(name) > maxName {
		return "", fmt.Errorf("%w: host of %d bytes", sandbox.ErrInvalid, len(host))
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
			return "", fmt.Errorf("%w: host %q", sandbox.ErrInvalid, host)
		}
	}
	// A last label that is a number is an address to some resolvers (0x7f.1).
	if last := labels[len(labels)-1]; last[0] >= '0' && last[0] <= '9' {
		return "", fmt.Errorf("%w: host %q ends in a number", sandbox.ErrInvalid, host)
	}
	return name, nil
}
