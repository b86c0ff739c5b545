//go:build !unix && !windows

package ipc

import "io"

// Lock has no lock to take where the agent cannot listen.
func Lock(Paths) (io.Closer, error) { return nil, errNoPipe }
