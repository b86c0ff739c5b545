package linuxhost

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kernelAction is struct sigaction of the system call, on amd64 and arm64.
type kernelAction struct {
	handler  uintptr
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	ignoreSignal = 1 // SIG_IGN
	lastSignal   = 64
)

// defaultSignals takes back what this process was started to ignore: an app
// would go on ignoring it. nohup ignores SIGHUP, and whoever uses posix_spawn of
// glibc leaves its internal signal 32 ignored.
func defaultSignals() error {
	for sig := uintptr(1); sig <= lastSignal; sig++ {
		var action kernelAction
		if err := signalAction(sig, nil, &action); err != nil {
			return fmt.Errorf("signal %d: %w", sig, err)
		}
		if action.handler != ignoreSignal {
			continue
		}
		if err := signalAction(sig, &kernelAction{}, nil); err != nil {
			return fmt.Errorf("signal %d: %w", sig, err)
		}
	}
	return nil
}

func signalAction(sig uintptr, set, old *kernelAction) error {
	_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, sig,
		uintptr(unsafe.Pointer(set)), uintptr(unsafe.Pointer(old)), unsafe.Sizeof(set.mask), 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
