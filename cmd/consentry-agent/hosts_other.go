//go:build !linux

package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/consentry/consentry/agent"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/sandbox"
)

// part runs one of the processes that the agent starts of this program.
func part(args []string) (code int, mine bool) {
	if len(args) > 1 && args[1] == worker.Name {
		return worker.Main(), true
	}
	return 0, false
}

// addHosts lists what runs apps on this system.
func addHosts(cfg *agent.Config, self string, _ ipc.Paths, log *slog.Logger) {
	cfg.Image = noHost{}
	cfg.Module = &worker.Host{Workers: &worker.Pool{Self: self, Stderr: os.Stderr, Waits: worker.Warm}, Log: log}
}

// noHost refuses images where no microVM driver is there yet.
type noHost struct{}

func (noHost) Name() string { return "none" }

func (noHost) Check(context.Context) error {
	return fmt.Errorf("%w: images run on Linux only so far; on this system a microVM will run them", sandbox.ErrNotSupported)
}

func (h noHost) Start(ctx context.Context, _ sandbox.Spec, _ sandbox.Broker) (sandbox.Instance, error) {
	return nil, h.Check(ctx)
}

// asUser has nothing to do: users may run what there is.
func asUser(context.Context, *slog.Logger) (handled bool, err error) { return false, nil }

func settle(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, nil
}
