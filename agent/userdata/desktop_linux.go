package userdata

import (
	"context"
	"fmt"
	"html"
	"os"
	"time"

	"github.com/godbus/dbus/v5"
)

// clipboardCommands are tried in this order. They print text only, without a
// line end of their own.
func clipboardCommands() [][]string {
	wayland := []string{"wl-paste", "--no-newline", "--type", "text/plain"}
	x11 := []string{"xclip", "-selection", "clipboard", "-out", "-target", "UTF8_STRING"}
	if os.Getenv("WAYLAND_DISPLAY") == "" {
		return [][]string{x11}
	}
	return [][]string{wayland, x11}
}

// system is the desktop of this session.
type system struct{}

// Notify follows the Desktop Notifications Specification 1.2. The body may be
// markup there, so it is escaped.
func (system) Notify(ctx context.Context, n Notification) error {
	conn, err := dbus.ConnectSessionBus(dbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("session bus: %w", err)
	}
	defer conn.Close()
	const (
		name = "org.freedesktop.Notifications"
		path = "/org/freedesktop/Notifications"
	)
	call := conn.Object(name, path).CallWithContext(ctx, name+".Notify", 0,
		"Consentry", uint32(0), "", n.From+": "+n.Title, html.EscapeString(n.Body), []string{}, map[string]dbus.Variant{},
		int32(notifyTime/time.Millisecond))
	return call.Err
}
