//go:build !unix

package portal

import (
	"fmt"
	"net"

	"github.com/consentry/consentry/sandbox"
)

func peek(*net.TCPConn, func([]byte) bool) error {
	return fmt.Errorf("%w: ports other than raw ones are served on Unix systems only so far", sandbox.ErrNotSupported)
}
