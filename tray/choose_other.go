//go:build !linux && !darwin && !windows

package tray

import "context"

func choose(context.Context) (string, error) { return "", errNoChooser }
