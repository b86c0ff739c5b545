//go:build !linux && !darwin && !windows

package autostart

import "errors"

func Of(string) (Entry, error) {
	return nil, errors.New("start at login is not known on this system: start `consentry tray` with your session")
}
