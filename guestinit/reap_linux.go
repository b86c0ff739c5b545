package guestinit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a child may be dead before it is taken for one that
// nobody waits for: os/exec waits for its own at once.
const patience = 2 * time.Second

// reap waits for children that were left to process 1.
func reap(ctx context.Context) {
	died := make(chan os.Signal, 1)
	signal.Notify(died, unix.SIGCHLD)
	defer signal.Stop(died)
	var before map[int]bool
	for {
		timer := time.NewTimer(patience)
		if len(before) == 0 {
			timer.Stop() // sleep until somebody dies
		}
		select {
		case <-ctx.Done():
			return
		case <-died:
			if len(before) == 0 {
				before = zombies()
			}
		case <-timer.C:
			now := zombies()
			for pid := range now {
				if before[pid] {
					//nolint:errcheck // it is gone, whoever waited
					unix.Wait4(pid, nil, unix.WNOHANG, nil)
					delete(now, pid)
				}
			}
			before = now
		}
		timer.Stop()
	}
}

// zombies are our dead children that nobody has waited for.
func zombies() map[int]bool {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	dead := map[int]bool{}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err == nil && isOurZombie(raw) {
			dead[pid] = true
		}
	}
	return dead
}

// isOurZombie reads a line of /proc/PID/stat: number, name in parentheses,
// state, parent.
func isOurZombie(stat []byte) bool {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return len(fields) > 1 && fields[0] == "Z" && fields[1] == strconv.Itoa(os.Getpid())
}
