//go:build !unix && !windows

package client

import (
	"fmt"

	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/sandbox"
)

// Spawn has no agent to start where there is no socket for it.
func Spawn(string, ...string) Starter {
	return func(ipc.Paths) (<-chan error, error) {
		return nil, fmt.Errorf("starting the agent in the background: %w", sandbox.ErrNotSupported)
	}
}
