//go:build linux

package worker

import (
	"os"
	"slices"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == Name {
		os.Exit(Main())
	}
	os.Exit(m.Run())
}

// full is a pool that has what it may have, and the processes that wait in it.
func full(t *testing.T, p *Pool) []int {
	t.Helper()
	p.refill()
	for began := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		var pids []int
		for _, c := range p.waiting {
			pids = append(pids, c.cmd.Process.Pid)
		}
		p.mu.Unlock()
		if len(pids) == defaultReady {
			return pids
		}
		if time.Since(began) > time.Minute {
			t.Fatalf("%d workers wait", len(pids))
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
	if pid := c.cmd.Process.Pid; !slices.Contains(waiting, pid) {
		t.Errorf("worker %d did not wait, %v did", pid, waiting)
	}
	if now := full(t, p); slices.Contains(now, c.cmd.Process.Pid) {
		t.Errorf("worker %d has a job and waits too", c.cmd.Process.Pid)
	}
}

func TestPoolLeavesOutTheDead(t *testing.T) {
	p := newPool(t)
	waiting := full(t, p)
	p.mu.Lock()
	for _, c := range p.waiting {
		c.cmd.Process.Kill()
		defer func() { <-c.ended }()
	}
	first := p.waiting[0]
	p.mu.Unlock()
	<-first.ended
	c, err := p.Get(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.cmd.Process.Pid == waiting[0] {
		t.Error("it gave a dead one")
	}
}

// TestWaitingWorkerIsRefused: what asks before it has a job has no broker.
func TestWaitingWorkerIsRefused(t *testing.T) {
	p := newPool(t)
	full(t, p)
	c := p.take()
	defer c.Close()
	if _, err := c.handle(t.Context(), "broker.dial", []byte(`{}`), nil); err == nil {
		t.Error("a worker without a job was answered")
	}
}

func TestClosedPoolIsEmpty(t *testing.T) {
	p := newPool(t)
	full(t, p)
	p.mu.Lock()
	all := p.waiting
	p.mu.Unlock()
	p.Close()
	for _, c := range all {
		if !c.gone() {
			t.Errorf("worker %d lives", c.cmd.Process.Pid)
		}
	}
	p.refill()
	if p.filling || len(p.waiting) > 0 {
		t.Error("it filled itself after its end")
	}
}
