//go:build !linux

package placeholder

import (
	"context"
	"fmt"
	"os"

	"github.com/consentry/consentry/sandbox"
)

// Serve needs Linux: elsewhere apps run in a machine of their own, and folders
// are served to it.
func Serve(_ context.Context, wire *os.File, _ Owner, _ Ask) error {
	wire.Close()
	return fmt.Errorf("%w: placeholders of folders are for Linux", sandbox.ErrNotSupported)
}
