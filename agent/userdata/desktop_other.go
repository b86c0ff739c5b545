//go:build !linux && !darwin && !windows

package userdata

import (
	"context"

	"github.com/consentry/consentry/sandbox"
)

func clipboardCommands() [][]string { return nil }

type system struct{}

func (system) Notify(context.Context, Notification) error { return sandbox.ErrNotSupported }

func (system) Open(context.Context, string) error { return sandbox.ErrNotSupported }
