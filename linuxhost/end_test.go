//go:build linux

package linuxhost_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// TestTheEndIsOfAll: when an app's end is told, what it started does not run any
// more, whoever it belongs to by then.
func TestTheEndIsOfAll(t *testing.T) {
	b := newBench(t)
	for round := range 5 {
		marker := nap(5300 + round)
		spec := b.spec(sh(fmt.Sprintf("(setsid sleep %[1]s &) ; trap '' TERM HUP; sleep %[1]s & exit 7", marker))...)
		app, err := b.host.Start(context.Background(), spec, nil)
		must(t, err)
		exit, err := app.Wait(context.Background())
		must(t, err)
		if n := countProcesses(t, "sleep\x00"+marker); n != 0 || exit.Code != 7 {
			t.Errorf("exit %+v, and %d processes live on", exit, n)
		}
		if _, err := app.(sandbox.Execer).Exec(context.Background(), sandbox.Process{Args: []string{"/bin/true"}}); !errors.Is(err, sandbox.ErrEnded) {
			t.Errorf("a program is started after the end: %v", err)
		}
	}
}

// TestAForkingAppEnds: the end comes while its processes make others as fast as
// they can.
func TestAForkingAppEnds(t *testing.T) {
	b := newBench(t)
	marker := nap(5310)
	spec := b.spec(sh(fmt.Sprintf("for i in 1 2 3 4; do (while :; do sleep %s & done) & done 2>/dev/null; /bin/usleep 100000; exit 0", marker))...)
	spec.Limits.PIDs = 200
	exit := b.exitOf(spec)
	if n := countProcesses(t, "sleep\x00"+marker); n != 0 || exit.Code != 0 {
		t.Errorf("exit %+v, and %d processes live on", exit, n)
	}
}

// TestStartedAgainAtOnce: a run that has ended is started again on the same
// writable layer, whatever is left of the last; one that has not is refused.
func TestStartedAgainAtOnce(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("echo x >>/home/runs; exit $(wc -l </home/runs)")...)
	b.upper(&spec)
	for round := range 6 {
		if exit := b.exitOf(spec); exit.Code != round+1 {
			t.Fatalf("round %d: exit %+v", round, exit)
		}
	}
	spec.Process.Args = sh("echo up; exec sleep " + nap(5320))
	app, _ := launch(b, spec)
	again := spec
	again.Process.Stdio = [3]*os.File{}
	if _, err := b.host.Start(context.Background(), again, nil); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("it was started twice: %v", err)
	}
	must(t, app.Stop(context.Background()))
}

// manyAtOnce is how many apps are started at the same moment.
const manyAtOnce = 100

func TestManyStartsAtOnce(t *testing.T) {
	b := newBench(t)
	starts := 20
	if os.Getenv("CONSENTRY_LONG") != "" {
		starts = manyAtOnce
	}
	specs := make([]sandbox.Spec, starts)
	for n := range specs {
		specs[n] = b.spec(sh(fmt.Sprintf("exit %d", n))...)
		specs[n].Image.IDBase = idBase + uint32(n)<<16
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	for n, spec := range specs {
		all.Go(func() {
			app, err := b.host.Start(ctx, spec, nil)
			if err != nil {
				t.Error(err)
				return
			}
			if exit, err := app.Wait(ctx); err != nil || exit.Code != n {
				t.Errorf("app %d: exit %+v, %v", n, exit, err)
			}
		})
	}
	all.Wait()
	b.host.Settle()
	if left := cgroupsLeft(t, b.state); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
}
