package autostart

import "os"

// Of is the user's XDG autostart.
func Of(program string) (Entry, error) {
	config, err := os.UserConfigDir()
	if err != nil {
		return nil, err
	}
	return xdgEntry(config, program), nil
}
