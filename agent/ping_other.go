//go:build !linux

package agent

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/consentry/consentry/sandbox"
)

func openPing(netip.Addr) (net.Conn, error) {
	return nil, fmt.Errorf("%w: ping needs Linux", sandbox.ErrNotSupported)
}
