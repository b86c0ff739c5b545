//go:build unix

package agent

import (
	"errors"
	"os"
	"syscall"
)

// makeBlocking gives the standard files of a process the form that programs
// expect: Go makes pipes that answer EAGAIN, and the flag goes with the pipe.
func makeBlocking(files [3]*os.File) error {
	var errs []error
	for _, f := range files {
		raw, err := f.SyscallConn()
		if err != nil {
			errs = append(errs, err)
			continue
		}
		control := raw.Control(func(fd uintptr) { err = syscall.SetNonblock(int(fd), false) })
		errs = append(errs, control, err)
	}
	return errors.Join(errs...)
}
