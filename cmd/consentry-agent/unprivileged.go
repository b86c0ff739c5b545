//go:build !linux

package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
)

// workerPart is the one process that the agent starts of this program on every
// system.
func workerPart(args []string) (code int, mine bool) {
	if len(args) > 1 && args[1] == worker.Name {
		return worker.Main(), true
	}
	return 0, false
}

// routed is a host whose apps' networks are served by workers: without these it
// starts nothing.
type routed struct{ *vmhost.Host }

func (r routed) Check(ctx context.Context) error {
	return errors.Join(worker.Check(), r.Host.Check(ctx))
}

func (r routed) Start(ctx context.Context, spec sandbox.Spec, broker sandbox.Broker) (sandbox.Instance, error) {
	if err := worker.Check(); err != nil {
		return nil, err
	}
	return r.Host.Start(ctx, spec, broker)
}

// asUser has nothing to do: users may run what there is.
func asUser(context.Context, *slog.Logger) (handled bool, err error) { return false, nil }

func settle(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := context.WithCancel(ctx)
	return ctx, cancel, nil
}
