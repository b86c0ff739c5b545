package tray

import (
	"context"
	"log/slog"
)

// desktop of macOS: the icon, its menu, and notifications; dialogs in their
// place where the program is in no bundle.
func desktop(log *slog.Logger, _ string) (d Desktop, dark bool, err error) {
	if d.Notifier, err = newCenter(); err != nil {
		log.Warn("questions come as dialogs", "reason", err)
		d.Notifier = newDialogs(log)
	}
	d.Locked = func(context.Context) (bool, error) { return false, nil } // neither is reachable behind the lock screen
	return d, false, nil
}
