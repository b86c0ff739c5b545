package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// Native returns the architecture this program runs on.
func Native() (Arch, error) {
	switch runtime.GOARCH {
	case "amd64":
		return AMD64, nil
	case "arm64":
		return ARM64, nil
	}
	return 0, fmt.Errorf("%w: no system call table for %s", sandbox.ErrNotSupported, runtime.GOARCH)
}

// Filter is a policy as the kernel of this machine takes it.
type Filter []Instruction

// Compile returns the filter of p for this machine.
func Compile(p Policy) (Filter, error) {
	arch, err := Native()
	if err != nil {
		return nil, err
	}
	return p.Compile(arch)
}

// Install puts p before every thread of this process, for good.
func Install(p Policy) error {
	filter, err := Compile(p)
	if err != nil {
		return err
	}
	return filter.Install()
}

// Install puts the filter before every thread of this process, for good,
// together with no_new_privs. Children inherit both.
func (f Filter) Install() error {
	if len(f) == 0 {
		return errors.New("seccomp: an empty filter")
	}
	runtime.LockOSThread() // no_new_privs and the filter must meet the same thread
	defer runtime.UnlockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	program := unix.SockFprog{
		Len:    uint16(len(f)), //nolint:gosec // at most maxInstructions
		Filter: (*unix.SockFilter)(unsafe.Pointer(&f[0])),
	}
	// TSYNC gives the filter and no_new_privs to all threads, or to none: then
	// it returns the id of a thread that could not follow.
	thread, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER,
		unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&program)))
	runtime.KeepAlive(f)
	if errno != 0 {
		return fmt.Errorf("seccomp: %w", errno)
	}
	if thread != 0 {
		return fmt.Errorf("seccomp: thread %d has a filter of its own", thread)
	}
	return nil
}
