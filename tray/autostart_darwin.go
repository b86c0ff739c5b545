package tray

import "os"

// atLogin is a launchd agent of the user.
func atLogin(program string) (Autostart, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	return launchAgent(home, program), nil
}
