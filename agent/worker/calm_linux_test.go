package worker

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestRoutersAreCalm: those of a pool, and one that is made at once; a module's
// worker is not, nor is the agent when it has started one.
func TestRoutersAreCalm(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root: nobody else is told of another process's timers")
	}
	routers, modules := newPool(t), newPool(t)
	modules.Waits = Warm
	one, err := Start(t.Context(), routers.Self, nil, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	defer one.Close()
	usual := slackOf(t, os.Getpid())
	for _, c := range []struct {
		pid  int
		want time.Duration
	}{{full(t, routers)[0].PID(), calm}, {one.PID(), calm}, {full(t, modules)[0].PID(), usual}} {
		if got := slackOf(t, c.pid); got != c.want || got == 0 {
			t.Errorf("timers of process %d may be %v late, want %v", c.pid, got, c.want)
		}
	}
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		var tid int
		fmt.Sscan(thread.Name(), &tid)
		if got := slackOf(t, tid); got != usual {
			t.Errorf("a thread of the agent may be %v late", got)
		}
	}
}

func slackOf(t *testing.T, thread int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", thread))
	if err != nil {
		t.Fatal(err)
	}
	slack, err := time.ParseDuration(strings.TrimSpace(string(text)) + "ns")
	if err != nil {
		t.Fatal(err)
	}
	return slack
}
