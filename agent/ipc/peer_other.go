//go:build unix && !linux && !darwin

package ipc

import (
	"fmt"
	"net"

	"github.com/consentry/consentry/sandbox"
)

func peerUID(*net.UnixConn) (int, error) {
	return -1, fmt.Errorf("reading the credentials of a peer: %w", sandbox.ErrNotSupported)
}
