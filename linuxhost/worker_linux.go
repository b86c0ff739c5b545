package linuxhost

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/landlock-lsm/go-landlock/landlock"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/seccomp"
)

// Worker says what a confined worker process still needs.
type Worker struct {
	Wasm      bool     // memory that can be made runnable, for wazero's compiler
	Memory    int64    // bytes it may take from now on; 0 is no limit of its own
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
	if err := confineMemory(w.Memory); err != nil {
		return fmt.Errorf("confine worker: memory: %w", err)
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
	filter, err := workerFilter(w.Wasm)
	if err == nil {
		err = filter.Install()
	}
	if err != nil {
		return fmt.Errorf("confine worker: %w", err)
	}
	return nil
}

// PrepareWorker does beforehand what ConfineWorker of a module's worker can do
// without knowing its folders.
func PrepareWorker() {
	_, _ = wasmFilter() // an error comes again
}

var wasmFilter = sync.OnceValues(func() (seccomp.Filter, error) { return seccomp.Compile(seccomp.Worker(true)) })

func workerFilter(wasm bool) (seccomp.Filter, error) {
	if wasm {
		return wasmFilter()
	}
	return seccomp.Compile(seccomp.Worker(false))
}

// confineMemory bounds private memory that can be written. Address space that is
// only reserved, as the runtime and linear memories do, does not count. A Go
// program that reaches the limit ends at once.
func confineMemory(more int64) error {
	if more <= 0 {
		return nil
	}
	has, err := dataSize()
	if err != nil {
		return err
	}
	limit := uint64(has + more)
	return unix.Setrlimit(unix.RLIMIT_DATA, &unix.Rlimit{Cur: limit, Max: limit})
}

// dataSize is what RLIMIT_DATA counts of this process, in bytes.
func dataSize() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, is := strings.CutPrefix(line, "VmData:"); is {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmData")
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
