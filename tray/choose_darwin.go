package tray

import "context"

// choose asks by the system's own dialog; osascript ends with the code 1 when
// the user cancels.
func choose(ctx context.Context) (string, error) {
	return chosen(ctx, "/usr/bin/osascript", "-e", `POSIX path of (choose file with prompt "Add an app to Consentry")`)
}
