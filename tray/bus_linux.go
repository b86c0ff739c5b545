package tray

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/godbus/dbus/v5"
)

// busTime is how long a service on the bus may take to answer.
const busTime = 3 * time.Second

// errNoSession: nothing to show anything on.
var errNoSession = errors.New("there is no session bus: this is no desktop session")

// sessionBus connects to the session's bus, if there is one: without this look
// the library would start a bus of its own, where nobody is.
func sessionBus() (*dbus.Conn, error) {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") == "" {
		socket := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
		if _, err := os.Stat(socket); err != nil || !filepath.IsAbs(socket) {
			return nil, errNoSession
		}
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		return nil, fmt.Errorf("session bus: %w", err)
	}
	return conn, nil
}

// owned says whether somebody has a name on the bus.
func owned(conn *dbus.Conn, name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	var has bool
	err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, name).Store(&has)
	return err == nil && has
}

// startable says whether the bus would start a service when it is called.
func startable(conn *dbus.Conn, name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	var names []string
	err := conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.ListActivatableNames", 0).Store(&names)
	return err == nil && slices.Contains(names, name)
}

const watcherName = "org.kde.StatusNotifierWatcher"

// The services that know whether the screen is locked: name and path on the
// session's bus; each has the method GetActive of its interface.
var screenSavers = []struct{ name, path string }{
	{"org.freedesktop.ScreenSaver", "/org/freedesktop/ScreenSaver"},
	{"org.gnome.ScreenSaver", "/org/gnome/ScreenSaver"},
	{"org.xfce.ScreenSaver", "/org/xfce/ScreenSaver"},
	{"org.cinnamon.ScreenSaver", "/org/cinnamon/ScreenSaver"},
	{"org.mate.ScreenSaver", "/org/mate/ScreenSaver"},
}

// screen asks everybody who may know whether the screen is locked. One yes is
// enough; one who is there and does not answer counts as a yes.
type screen struct{ conn *dbus.Conn }

func (s screen) locked(ctx context.Context) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, busTime)
	defer cancel()
	for _, saver := range screenSavers {
		if !owned(s.conn, saver.name) {
			continue
		}
		var active bool
		err := s.conn.Object(saver.name, dbus.ObjectPath(saver.path)).CallWithContext(ctx, saver.name+".GetActive", 0).Store(&active)
		if unknown(err) {
			continue // it has the name for something else
		}
		if err != nil || active {
			return true, err
		}
	}
	return lockedHint(ctx)
}

// unknown errors are of services that do not offer the call.
func unknown(err error) bool {
	var fault dbus.Error
	return errors.As(err, &fault) && slices.Contains([]string{
		"org.freedesktop.DBus.Error.UnknownMethod", "org.freedesktop.DBus.Error.UnknownObject",
		"org.freedesktop.DBus.Error.UnknownInterface", "org.freedesktop.DBus.Error.NotSupported",
	}, fault.Name)
}

// lockedHint asks systemd-logind about this process's session. Without logind,
// or outside of a session, nobody says that it is locked.
func lockedHint(ctx context.Context) (bool, error) {
	conn, err := dbus.ConnectSystemBus(dbus.WithContext(ctx))
	if err != nil || !owned(conn, "org.freedesktop.login1") {
		return false, nil //nolint:nilerr // there is no logind
	}
	defer conn.Close() //nolint:errcheck // only asked
	var locked bool
	session := conn.Object("org.freedesktop.login1", "/org/freedesktop/login1/session/auto")
	err = session.CallWithContext(ctx, "org.freedesktop.DBus.Properties.Get", 0, "org.freedesktop.login1.Session", "LockedHint").Store(&locked)
	var fault dbus.Error
	if errors.As(err, &fault) { // no session of ours
		return false, nil
	}
	return locked, err
}

// prefersDark asks the portal whether the user wants dark, so the panel is
// likely to be dark (org.freedesktop.appearance, color-scheme 1).
func prefersDark(conn *dbus.Conn) (dark, known bool) {
	ctx, cancel := context.WithTimeout(context.Background(), busTime)
	defer cancel()
	var value dbus.Variant
	err := conn.Object("org.freedesktop.portal.Desktop", "/org/freedesktop/portal/desktop").
		CallWithContext(ctx, "org.freedesktop.portal.Settings.Read", dbus.FlagNoAutoStart, "org.freedesktop.appearance", "color-scheme").Store(&value)
	if err != nil {
		return false, false
	}
	if inner, ok := value.Value().(dbus.Variant); ok { // the call wraps it twice
		value = inner
	}
	scheme, ok := value.Value().(uint32)
	return scheme == 1, ok && scheme != 0
}
