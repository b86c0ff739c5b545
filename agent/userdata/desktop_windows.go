package userdata

import (
	"context"
	"fmt"

	"github.com/consentry/consentry/sandbox"
)

func clipboardCommands() [][]string {
	return [][]string{{"powershell.exe", "-NoProfile", "-NonInteractive", "-Command", "[Console]::OutputEncoding=[Text.Encoding]::UTF8; [Console]::Out.Write((Get-Clipboard -Raw))"}}
}

// system is the desktop of this session.
type system struct{}

func (system) Notify(context.Context, Notification) error {
	return fmt.Errorf("notifications of apps: %w on Windows yet", sandbox.ErrNotSupported)
}
