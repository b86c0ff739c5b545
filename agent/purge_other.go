//go:build !linux

package agent

// mountsBelow: nothing is mounted for apps on this system.
func mountsBelow(string) ([]string, error) { return nil, nil }
