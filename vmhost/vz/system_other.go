//go:build unix && !darwin

package vz

import (
	"context"
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

func checkSystem(context.Context, string) error {
	return fmt.Errorf("%w: Apple's Virtualization framework: this is no Mac", sandbox.ErrNotSupported)
}
