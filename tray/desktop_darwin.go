package tray

import (
	"context"
	"log/slog"
)

// desktop of macOS: the icon and its menu, and dialogs in place of
// notifications: those with buttons need an application bundle.
func desktop(log *slog.Logger, _ string) (d Desktop, dark bool, err error) {
	d.Notifier = newDialogs(log)
	d.Locked = func(context.Context) (bool, error) { return false, nil } // neither is reachable behind the lock screen
	return d, false, nil
}
