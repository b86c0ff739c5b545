package oci

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockStore takes the store's lock for as long as the file is open.
func lockStore(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	flags := uint32(windows.LOCKFILE_EXCLUSIVE_LOCK | windows.LOCKFILE_FAIL_IMMEDIATELY)
	if err := windows.LockFileEx(windows.Handle(f.Fd()), flags, 0, 1, 0, new(windows.Overlapped)); err != nil {
		return nil, errors.Join(errors.New("another agent has it open"), err, f.Close())
	}
	return f, nil
}
