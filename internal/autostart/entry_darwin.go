package autostart

import "os"

// Of is a launchd agent of the user.
func Of(program string) (Entry, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil, err
	}
	return launchAgent(home, program), nil
}
