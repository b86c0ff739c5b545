package agent

import (
	"os"
	"path/filepath"
)

const sessionKeychain = "the desktop's keyring (Secret Service)"

// sessionReachable wants a session bus that is there: without one the D-Bus
// library starts a bus of its own, where no keyring is.
func sessionReachable() bool {
	if os.Getenv("DBUS_SESSION_BUS_ADDRESS") != "" {
		return true
	}
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(dir, "bus"))
	return err == nil
}
