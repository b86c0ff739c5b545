//go:build linux

package worker

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Name {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// full fills a pool and returns those that wait in it.
func full(t *testing.T, p *Pool) []*Client {
	t.Helper()
	p.waiting().Refill()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		waiting := p.waiting().Waiting()
		if len(waiting) == readyWorkers {
			return waiting
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%d workers wait", len(waiting))
		}
	}
}

func newPool(t *testing.T) *Pool {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &Pool{Self: self, Stderr: os.Stderr}
	t.Cleanup(func() { p.Close() })
	return p
}

func TestPoolGivesWhatWaits(t *testing.T) {
	p := newPool(t)
	waiting := full(t, p)
	c, err := p.Get(t.Context(), sandbox.Broker(nil))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if !slices.Contains(waiting, c) {
		t.Errorf("worker %d did not wait", c.PID())
	}
	if slices.Contains(full(t, p), c) {
		t.Errorf("worker %d has a job and waits too", c.PID())
	}
}

func TestPoolLeavesOutTheDead(t *testing.T) {
	p := newPool(t)
	first := full(t, p)[0]
	if err := first.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-first.ended
	c, err := p.Get(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c == first {
		t.Error("it gave a dead one")
	}
}

// TestWaitingWorkerIsRefused: what asks before it has a job has no broker.
func TestWaitingWorkerIsRefused(t *testing.T) {
	p := newPool(t)
	c := full(t, p)[0]
	if _, err := c.handle(t.Context(), "broker.dial", []byte(`{}`), nil); err == nil {
		t.Error("a worker without a job was answered")
	}
}

func TestClosedPoolIsEmpty(t *testing.T) {
	p := newPool(t)
	all := full(t, p)
	p.Close()
	for _, c := range all {
		if !c.gone() {
			t.Errorf("worker %d lives", c.PID())
		}
	}
}

// TestConfinedWhileItWaits: a worker that waits to be a router has nothing left to
// lose, and can be nothing else.
func TestConfinedWhileItWaits(t *testing.T) {
	p := newPool(t)
	p.Waits = Confined
	full(t, p)
	c, err := p.Get(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	module := moduleJob{Spec: sandbox.Spec{Module: &sandbox.Module{}}}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	// Its answer says also that it is confined by now.
	if _, err := c.peer.Call(t.Context(), verbModule, module, nil, null, null, null); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("it took a module: %v", err)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Seccomp:\t2\n", "NoNewPrivs:\t1\n", "CapEff:\t0000000000000000\n"} {
		if !strings.Contains(string(status), want) {
			t.Errorf("%q is not in its status:\n%s", want, status)
		}
	}
	ours, theirs, err := fdwire.SocketPair()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	if err := c.Route(t.Context(), "app", 0, ours); err != nil {
		t.Errorf("it does not route: %v", err)
	}
}

func TestUnknownWayToWait(t *testing.T) {
	p := newPool(t)
	c, err := start(t.Context(), p.Self, os.Stderr, (*exec.Cmd).Start, "hurry")
	if err != nil {
		t.Fatal(err)
	}
	<-c.ended
	if c.err == nil {
		t.Error("it waited all the same")
	}
}
