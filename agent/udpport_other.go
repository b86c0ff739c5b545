//go:build !linux

package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"

	"github.com/consentry/consentry/sandbox"
)

// canPublishUDP says why not.
func canPublishUDP() error {
	return fmt.Errorf("%w: UDP ports are published on Linux only so far", sandbox.ErrNotSupported)
}

// udpCarrier has nothing to carry: see canPublishUDP.
type udpCarrier any

func (p *published) relay(context.Context, *net.UDPConn, udpCarrier, *slog.Logger) {}
