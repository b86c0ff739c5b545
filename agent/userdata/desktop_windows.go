package userdata

import (
	"context"
	"fmt"
	"os/exec"

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

func (system) Open(ctx context.Context, address string) error {
	return exec.CommandContext(ctx, "rundll32.exe", "url.dll,FileProtocolHandler", address).Run()
}
