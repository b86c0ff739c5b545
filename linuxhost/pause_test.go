//go:build linux

package linuxhost_test

import (
	"bufio"
	"context"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/sandbox"
)

// ticker is an app that counts lines, fast.
func ticker(b *bench, ignoreTerm bool) (sandbox.Instance, <-chan int) {
	b.t.Helper()
	script := "echo 0; i=1; while :; do echo $i; i=$((i+1)); sleep 0.01; done"
	if ignoreTerm {
		script = "trap '' TERM; " + script
	}
	app, lines := launch(b, b.spec(sh(script)...))
	return app, count(lines)
}

func count(lines *bufio.Reader) <-chan int {
	ticks := make(chan int, 100_000)
	go func() {
		defer close(ticks)
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			if n, err := strconv.Atoi(strings.TrimSpace(line)); err == nil {
				ticks <- n
			}
		}
	}()
	return ticks
}

func last(ticks <-chan int) (n int) {
	for {
		select {
		case n = <-ticks:
		case <-time.After(100 * time.Millisecond):
			return n
		}
	}
}

func TestPauseHoldsEverything(t *testing.T) {
	b := newBench(t)
	ctx := context.Background()
	app, ticks := ticker(b, false)
	pauser := app.(sandbox.Pauser)
	must(t, pauser.Pause(ctx))
	must(t, pauser.Pause(ctx))
	before := last(ticks)
	time.Sleep(500 * time.Millisecond)
	if after := last(ticks); after != 0 {
		t.Errorf("paused at %d, and yet it said %d", before, after)
	}
	if _, err := app.(sandbox.Execer).Exec(ctx, sandbox.Process{Args: []string{"/bin/true"}}); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("exec in a paused app: %v", err)
	}
	if err := app.(sandbox.Signaler).Signal(ctx, sandbox.SIGHUP); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("signal to a paused app: %v", err)
	}
	p, err := app.Posture(ctx)
	must(t, err)
	must(t, p.Missing())
	must(t, pauser.Unpause(ctx))
	must(t, pauser.Unpause(ctx))
	if got := <-ticks; got != before+1 {
		t.Errorf("goes on at %d, was paused at %d", got, before)
	}
}

func TestAPausedAppCanBeStopped(t *testing.T) {
	b := newBench(t)
	for name, ignores := range map[string]bool{"obeys": false, "ignores": true} {
		t.Run(name, func(t *testing.T) {
			b.t = t
			app, _ := ticker(b, ignores)
			must(t, app.(sandbox.Pauser).Pause(context.Background()))
			must(t, app.Stop(context.Background()))
			if exit := waitFor(t, app); exit.Code != 143 && exit.Code != 137 {
				t.Errorf("exit %+v", exit)
			}
		})
	}
	b.t = t
}

func TestAPausedAppDiesWithItsAgent(t *testing.T) {
	b := newBench(t)
	app, _ := ticker(b, false)
	must(t, app.(sandbox.Pauser).Pause(context.Background()))
	launchers := childrenOf(t, os.Getpid())
	for _, pid := range launchers {
		kill(t, pid)
	}
	eventually(t, "the instance has ended", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		_, err := app.Wait(ctx)
		return !errors.Is(err, context.DeadlineExceeded)
	})
	must(t, linuxhost.Cleanup(context.Background(), b.state, nil))
	if left := cgroupsLeft(t, b.state); len(left) > 0 {
		t.Errorf("cgroups left: %v", left)
	}
}

func TestStatsAreOfTheApp(t *testing.T) {
	b := newBench(t)
	spec := b.spec(sh("head -c 50m /dev/zero >/tmp/held; (sleep 60 & sleep 60 &) ; i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo up; exec sleep 60")...)
	spec.Limits = sandbox.Limits{Memory: 200 << 20, PIDs: 50, CPUs: 1.5}
	app, _ := launch(b, spec)
	s, err := app.(sandbox.Statser).Stats(context.Background())
	must(t, err)
	t.Logf("%+v", s)
	if s.CPU < 50*time.Millisecond || s.CPU > time.Minute {
		t.Errorf("processor time %v", s.CPU)
	}
	if s.Memory < 50<<20 || s.Memory > 224<<20 {
		t.Errorf("memory %d", s.Memory)
	}
	if s.PIDs != 3 {
		t.Errorf("%d processes, want 3", s.PIDs)
	}
	if s.MemoryLimit != 200<<20 || s.PIDsLimit != 50 || s.CPULimit != 1.5 {
		t.Errorf("limits %+v", s)
	}
}
