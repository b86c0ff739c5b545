//go:build !linux && !darwin && !windows

package tray

import (
	"errors"
	"log/slog"
)

func desktop(*slog.Logger, string) (d Desktop, dark bool, err error) {
	return d, false, errors.New("there is no tray for this system: use consentry requests, allow and deny")
}
