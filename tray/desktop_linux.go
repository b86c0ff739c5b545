package tray

import (
	"log/slog"

	"github.com/consentry/consentry/agent/client"
)

// desktop finds out what this session has, and says what it lacks.
func desktop(log *slog.Logger, _ string) (d Desktop, dark bool, err error) {
	conn, err := sessionBus()
	if err != nil {
		return d, false, &client.Advice{
			Err:  err,
			Text: "answer with consentry requests, allow and deny, or open: consentry console --code",
		}
	}
	if !owned(conn, watcherName) {
		log.Warn("no panel shows icons of programs (there is no " + watcherName + "): ours comes when one does; plain GNOME needs the extension AppIndicator. " +
			"Questions come as notifications, in consentry console and in consentry requests")
	}
	if d.Notifier, err = newNotifier(conn); err != nil {
		log.Warn("questions are in the tray, the console and the command line only", "reason", err)
	}
	if !owned(conn, notifyName) && !startable(conn, notifyName) {
		log.Warn("no service shows notifications (there is no " + notifyName + "): install one, such as xfce4-notifyd or dunst; " +
			"questions are in the tray's menu, in consentry console and in consentry requests")
	}
	d.Locked = screen{conn}.locked
	dark, known := prefersDark(conn)
	return d, dark || !known, nil // most panels are dark
}
