package linuxhost

import (
	"fmt"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/seccomp"
)

// Worker says what a confined worker process still needs.
type Worker struct {
	Wasm      bool     // memory that can be made runnable, for wazero's compiler
	ReadDirs  []string // may be read below
	WriteDirs []string // may be read and written below
}

// ConfineWorker takes from this process, on all its threads and for good, what
// a worker does not need: capabilities, new programs and processes, sockets of
// its own, and every file outside the given folders. What it holds open stays:
// unix sockets with descriptor passing, and whatever is passed to it later. It
// is called before the worker reads the first hostile byte. An error leaves
// the process half confined: the worker must end.
func ConfineWorker(w Worker) error {
	if err := syscall.Setrlimit(syscall.RLIMIT_CORE, &syscall.Rlimit{}); err != nil {
		return fmt.Errorf("confine worker: core: %w", err)
	}
	if err := confineFiles(w); err != nil {
		return fmt.Errorf("confine worker: landlock: %w", err)
	}
	if err := dropAllCapabilities(); err != nil {
		return fmt.Errorf("confine worker: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("confine worker: not dumpable: %w", err)
	}
	if err := seccomp.Install(seccomp.Worker(w.Wasm)); err != nil {
		return fmt.Errorf("confine worker: %w", err)
	}
	return nil
}

// confineFiles leaves the folders of w. Where the kernel has no Landlock, the
// missing socket and program calls remain, and the worker's user.
func confineFiles(w Worker) error {
	rules := []landlock.Rule{}
	if len(w.ReadDirs) > 0 {
		rules = append(rules, landlock.RODirs(w.ReadDirs...))
	}
	if len(w.WriteDirs) > 0 {
		rules = append(rules, landlock.RWDirs(w.WriteDirs...))
	}
	return landlock.V6.BestEffort().Restrict(rules...)
}

func dropAllCapabilities() error {
	if err := onAllThreads(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0); err != nil {
		return fmt.Errorf("no_new_privs: %w", err)
	}
	// The bounding set is left: with no_new_privs, and without execve, it gives
	// nothing to anybody.
	return setCapabilities(nil)
}
