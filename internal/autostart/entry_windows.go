package autostart

import (
	"errors"

	"golang.org/x/sys/windows/registry"
)

const (
	runKey      = `Software\Microsoft\Windows\CurrentVersion\Run`
	approvedKey = `Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run`
	runName     = "Consentry"
)

// Of is the user's Run key.
func Of(program string) (Entry, error) { return runEntry(program), nil }

type runEntry string

func (e runEntry) On() (bool, error) {
	key, err := registry.OpenKey(registry.CURRENT_USER, runKey, registry.QUERY_VALUE)
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer key.Close() //nolint:errcheck // only read
	line, _, err := key.GetStringValue(runName)
	if errors.Is(err, registry.ErrNotExist) {
		return false, nil
	}
	return err == nil && line == runLine(string(e)) && !switchedOff(), err
}

// switchedOff says whether the user has turned the entry off in the Task
// Manager: the first byte of its state is odd then.
func switchedOff() bool {
	key, err := registry.OpenKey(registry.CURRENT_USER, approvedKey, registry.QUERY_VALUE)
	if err != nil {
		return false
	}
	defer key.Close() //nolint:errcheck // only read
	state, _, err := key.GetBinaryValue(runName)
	return err == nil && len(state) > 0 && state[0]&1 == 1
}

func (e runEntry) Set(on bool) error {
	key, _, err := registry.CreateKey(registry.CURRENT_USER, runKey, registry.SET_VALUE)
	if err != nil {
		return err
	}
	defer key.Close() //nolint:errcheck // what was set is read back
	if on {
		if approved, err := registry.OpenKey(registry.CURRENT_USER, approvedKey, registry.SET_VALUE); err == nil {
			approved.DeleteValue(runName) //nolint:errcheck // it may not be there; On reads it back
			approved.Close()              //nolint:errcheck // On reads it back
		}
		return key.SetStringValue(runName, runLine(string(e)))
	}
	if err := key.DeleteValue(runName); !errors.Is(err, registry.ErrNotExist) {
		return err
	}
	return nil
}
