//go:build unix

package oci

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockStore takes the store's lock for as long as the file is open.
func lockStore(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			err = errors.New("another agent has it open")
		}
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}
