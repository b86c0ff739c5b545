package worker

import (
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// calm is by how much timers of a router may be late. Go's watch thread (sysmon)
// otherwise wakes every 70 µs while a worker does anything at all, which took a
// fifth of a router's time, and the processor that the app would have run on.
const calm = 2 * time.Millisecond

// startCalm starts cmd with calm timers: the slack of the thread that forks is
// inherited, past execve too (PR_SET_TIMERSLACK in prctl(2)). A worker could not
// set it by itself, as its watch thread is there before its main function. It is not
// for modules: where several threads run Go, they wait by such timers for each other.
func startCalm(cmd *exec.Cmd) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err == nil && before > 0 && setSlack(int(calm)) == nil {
		defer setSlack(before) //nolint:errcheck // the thread's timers are late, no more
	}
	return cmd.Start()
}

func setSlack(ns int) error { return unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(ns), 0, 0, 0) }
