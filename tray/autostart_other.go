//go:build !linux && !darwin && !windows

package tray

import "errors"

func atLogin(string) (Autostart, error) {
	return nil, errors.New("start at login is not known on this system: start `consentry tray` with your session")
}
