package userdata

import (
	"context"
	"os/exec"
)

func clipboardCommands() [][]string { return [][]string{{"pbpaste", "-Prefer", "txt"}} }

// system is the desktop of this session.
type system struct{}

// notifyScript takes the words as arguments: they are never part of a program.
const notifyScript = `on run argv
display notification (item 2 of argv) with title "Consentry" subtitle (item 1 of argv)
end run`

func (system) Notify(ctx context.Context, n Notification) error {
	return exec.CommandContext(ctx, "osascript", "-e", notifyScript, n.From+": "+n.Title, n.Body).Run()
}
