//go:build !linux

package agent

import (
	"fmt"
	"net"

	"github.com/consentry/consentry/sandbox"
)

func newUDPFlow(*net.UDPConn) (passable, error) {
	return nil, fmt.Errorf("%w: UDP flows are relayed on Linux only so far", sandbox.ErrNotSupported)
}
