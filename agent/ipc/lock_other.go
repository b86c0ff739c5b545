//go:build !unix

package ipc

import (
	"errors"
	"io"
)

// ErrLocked says that another agent with the same runtime folder is running.
var ErrLocked = errors.New("another agent is running")

// Lock has no lock to take where the agent cannot listen.
func Lock(Paths) (io.Closer, error) { return nil, errNoPipe }
