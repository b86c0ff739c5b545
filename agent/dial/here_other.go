//go:build !linux

package dial

import (
	"context"
	"net"
	"net/netip"
)

// connectHere connects to a server of this computer.
func connectHere(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	return (&net.Dialer{Timeout: dialTimeout}).DialContext(ctx, "tcp", to.String())
}
