//go:build linux

package story

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestSoakOfARunningApp has an app open, use, lose and be refused connections,
// and sees that neither its worker nor the agent grows: 10 seconds, or ten
// minutes with CONSENTRY_LONG=1.
func TestSoakOfARunningApp(t *testing.T) {
	span := 10 * time.Second
	if os.Getenv("CONSENTRY_LONG") != "" {
		span = 10 * time.Minute
	}
	w := newWorld(t)
	w.want("run", "-d", "--quiet", "--no-input", "--name", "app", built.image, "sleep", "1000")
	for _, host := range []string{webName, sixName} {
		w.want("allow", "app", "net.connect", "tcp/"+host+":80")
	}
	const stop = "/tmp/stop" // inside
	churn := w.start("exec", "app", "sh", "-c", fmt.Sprintf(`way() { while [ ! -e %[1]s ]; do "$@" >/dev/null 2>&1; echo; done; }
way curl -4sf http://%[2]s/ & way curl -6sf http://%[3]s/big & way curl -s -m .3 http://%[2]s/flood &
way curl -s -m 2 http://%[4]s/ & way curl -s -m 2 http://9.9.9.9/ & way sh -c 'getent hosts $$.%[2]s; sleep .05' &
wait`, stop, webName, sixName, otherName))
	time.Sleep(span/10 + 3*time.Second)
	first := w.holdings()
	for end := time.Now().Add(span); time.Now().Before(end); {
		time.Sleep(span / 10)
		now := w.holdings()
		t.Logf("%s to go: %s", time.Until(end).Round(time.Second), now)
		for who, h := range now {
			if was := first[who]; h.files > was.files+30 || h.threads > was.threads+20 || h.bytes > was.bytes+was.bytes/2+32<<20 {
				t.Fatalf("the %s had %+v and has %+v", who, was, h)
			}
		}
	}
	w.want("exec", "app", "touch", stop)
	if r := churn.wait(); strings.Count(r.out, "\n") < 20 {
		t.Errorf("%d rounds show nothing: %s", strings.Count(r.out, "\n"), r.err)
	}
	w.until("all flows have ended", func() bool { return len(w.flows()) == 0 })
	if n := w.reached(); n < 10 {
		t.Errorf("the server was reached %d times", n)
	}
}

// holding is what a process has.
type holding struct {
	files, threads int
	bytes          int64
}

func (h holding) String() string {
	return fmt.Sprintf("%d files, %d threads, %d MiB", h.files, h.threads, h.bytes>>20)
}

// holdings are those of the agent and of the one worker.
func (w *world) holdings() map[string]holding {
	w.t.Helper()
	found := map[string]holding{"agent": holdingOf(w.t, w.agentPID())}
	for _, pid := range w.workers() {
		found["worker"] = holdingOf(w.t, pid)
	}
	if len(found) != 2 {
		w.t.Fatal("there is no worker")
	}
	return found
}

func holdingOf(t *testing.T, pid int) holding {
	t.Helper()
	files, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	must(t, err)
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	must(t, err)
	return holding{len(files), len(threads), memoryOf(t, pid)}
}
