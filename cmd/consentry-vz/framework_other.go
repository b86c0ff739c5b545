//go:build !darwin || !cgo

package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost/vz"
)

// framework is not here.
type framework struct{}

func (framework) Start(_ vz.Machine, control, frames *os.File) (vz.Running, error) {
	return nil, errors.Join(fmt.Errorf("%w: consentry-vz was built without Apple's Virtualization framework: build it on a Mac, with cgo", sandbox.ErrNotSupported),
		control.Close(), frames.Close())
}
