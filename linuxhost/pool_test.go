//go:build linux

package linuxhost_test

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// lender lends blocks one after the other and counts what is out.
type lender struct {
	mu   sync.Mutex
	next uint32
	out  map[uint32]bool
}

func (l *lender) Lend() (uint32, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.out == nil {
		l.out = map[uint32]bool{}
	}
	base := l.next
	l.next += 1 << 16
	l.out[base] = true
	return base, nil
}

func (l *lender) Return(base uint32) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.out, base)
}

func (l *lender) lent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.out)
}

// benchWithReady is a bench whose host has two sandboxes that wait.
func benchWithReady(t *testing.T) (*bench, *lender) {
	b := newBench(t)
	ids := &lender{next: idBase + 1<<16}
	b.host.KeepReady(ids)
	b.exitOf(b.spec("/bin/true"))
	b.awaitReady()
	return b, ids
}

func (b *bench) exitOf(spec sandbox.Spec) sandbox.Exit {
	b.t.Helper()
	app, err := b.host.Start(context.Background(), spec, nil)
	must(b.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	exit, err := app.Wait(ctx)
	must(b.t, err)
	return exit
}

func (b *bench) awaitReady() {
	b.t.Helper()
	for began := time.Now(); len(b.host.Ready()) < 2; time.Sleep(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			b.t.Fatal("no sandbox is made ready")
		}
	}
}

// readySpec is a run with the ids of one that waits.
func (b *bench) readySpec(args ...string) sandbox.Spec {
	spec := b.spec(args...)
	spec.Image.IDBase = b.host.Ready()[0]
	return spec
}

func TestReadySandboxIsTaken(t *testing.T) {
	b, ids := benchWithReady(t)
	waiting := childrenOf(t, os.Getpid())
	spec := b.readySpec(sh("echo up; sleep " + nap(5101))...)
	spec.Limits.PIDs = 77
	app, _ := launch(b, spec)
	if now := childrenOf(t, os.Getpid()); !slices.Contains(waiting, now[0]) {
		t.Errorf("launchers were %v, are %v: it was started anew", waiting, now)
	}
	posture, err := app.Posture(context.Background())
	must(t, err)
	must(t, posture.Missing())
	if !slices.ContainsFunc(posture.Walls, func(w sandbox.Wall) bool { return strings.Contains(w.Detail, "pids.max=93") }) {
		t.Errorf("its own limit and 16 of init are not in %+v", posture.Walls)
	}
	stats, err := app.(sandbox.Statser).Stats(context.Background())
	if err != nil || stats.PIDsLimit != 77 {
		t.Errorf("stats %+v, %v", stats, err)
	}
	must(t, app.Stop(context.Background()))
	b.awaitReady()
	if n := ids.lent(); n != 2 {
		t.Errorf("%d blocks of ids are lent, two wait", n)
	}
	must(t, b.host.Close())
	if n := ids.lent(); n != 0 {
		t.Errorf("%d blocks of ids are lent after the end", n)
	}
}

// A launcher that died while it waited, and one made for another kind of run,
// leave the start as it is without them.
func TestReadySandboxOfNoUse(t *testing.T) {
	b, _ := benchWithReady(t)
	for _, pid := range childrenOf(t, os.Getpid()) {
		kill(t, pid)
	}
	spec := b.spec("/bin/true")
	spec.Image.IDBase = idBase + 1<<16 // the first that was lent
	if exit := b.exitOf(spec); exit.Code != 0 {
		t.Errorf("after its death: exit %+v", exit)
	}
	b.awaitReady()
	spec = b.readySpec("/bin/true")
	spec.Waived = append(spec.Waived, sandbox.WaiveCgroup)
	if exit := b.exitOf(spec); exit.Code != 0 {
		t.Errorf("another kind: exit %+v", exit)
	}
}

// TestInitOfReadySandboxDies: init is killed behind the launcher's back.
func TestInitOfReadySandboxDies(t *testing.T) {
	b, _ := benchWithReady(t)
	spec := b.readySpec("/bin/true")
	for _, launcher := range childrenOf(t, os.Getpid()) {
		for _, pid := range childrenOf(t, launcher) {
			kill(t, pid)
		}
	}
	if exit := b.exitOf(spec); exit.Code != 0 {
		t.Errorf("exit %+v", exit)
	}
}
