package agent

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/consentry/consentry/sandbox"
)

// connectPing opens a ping of the first address. Through a proxy there is none.
func (b *broker) connectPing(to netTarget, addrs []netip.Addr, granted []grantedTarget) (net.Conn, error) {
	if len(addrs) == 0 {
		return nil, fmt.Errorf("%s: %w: a proxy carries no ping", to, sandbox.ErrUnreachable)
	}
	ping, err := openPing(addrs[0])
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", to, sandbox.ErrUnreachable, err)
	}
	return b.flows.add(ping, flowAbout{target: to, began: b.now()}, granted)
}
