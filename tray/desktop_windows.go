package tray

import (
	"context"
	"errors"
	"log/slog"

	"golang.org/x/sys/windows/registry"
)

// desktop of Windows: the icon and its menu. Toasts with buttons need an
// activator registered by the installer, and are not there yet.
func desktop(log *slog.Logger) (d Desktop, dark bool, err error) {
	log.Warn("questions are in the tray's menu and the console: there are no notifications with buttons on this system yet")
	d.Locked = func(context.Context) (bool, error) { return false, nil } // the menu is not reachable behind the lock screen
	return d, !lightTaskbar(), nil
}

// lightTaskbar reads the user's choice of theme for the taskbar.
func lightTaskbar() bool {
	key, err := registry.OpenKey(registry.CURRENT_USER, `Software\Microsoft\Windows\CurrentVersion\Themes\Personalize`, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) || err != nil {
		return false
	}
	defer key.Close() //nolint:errcheck // only read
	light, _, err := key.GetIntegerValue("SystemUsesLightTheme")
	return err == nil && light == 1
}
