//go:build !linux

package worker

import (
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// A worker that cannot be confined does not start.
var errUnconfined = fmt.Errorf("%w: workers, which meet an app's bytes, are confined on Linux only so far, and start nowhere else", sandbox.ErrNotSupported)

// Check says why no worker starts on this system.
func Check() error { return errUnconfined }

func prepareConfine() {}

func confineRouter() error { return errUnconfined }

func confineModule(sandbox.Spec) error { return errUnconfined }
