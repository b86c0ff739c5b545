//go:build !linux

package router

import (
	"fmt"
	"os"

	"github.com/consentry/consentry/sandbox"
)

// TapLink exists on Linux only; it takes tap over, whatever it returns.
func TapLink(tap *os.File) (Link, error) {
	tap.Close()
	return nil, fmt.Errorf("%w: a tap needs Linux; use StreamLink or DatagramLink", sandbox.ErrNotSupported)
}
