package tray

import "os"

// atLogin is the user's XDG autostart.
func atLogin(program string) (Autostart, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return nil, err
	}
	return xdgEntry(config, program), nil
}
