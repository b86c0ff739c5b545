//go:build !linux

package worker

import (
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

// A worker that cannot be confined does not start.
var errUnconfined = fmt.Errorf("%w: workers are confined on Linux only so far", sandbox.ErrNotSupported)

func prepareConfine() {}

func confineRouter() error { return errUnconfined }

func confineModule(sandbox.Spec) error { return errUnconfined }
