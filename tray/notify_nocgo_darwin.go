//go:build darwin && !cgo

package tray

import "errors"

func newCenter() (Notifier, error) {
	return nil, errors.New("this build has no notifications of macOS: they want cgo")
}
