package tray

import (
	"errors"
	"log/slog"

	"golang.org/x/sys/windows/registry"
)

// desktop of Windows: the icon, its menu, and toasts.
func desktop(log *slog.Logger, program string) (d Desktop, dark bool, err error) {
	if d.Notifier, err = newToasts(program); err != nil {
		log.Warn("questions are in the tray's menu and the console only", "reason", err)
	}
	d.Locked = screenLocked
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
