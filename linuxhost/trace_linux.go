package linuxhost

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
)

const (
	// traceBacklog is how many events wait for somebody who looks slowly.
	traceBacklog = 4096
	lostInterval = time.Second
)

// tracer reads the ring of events while somebody looks, and gives each watcher
// those of its app.
type tracer struct {
	mu       sync.Mutex
	ring     *bpf.Ring // nil while nobody looks
	reading  chan struct{}
	watchers []*watcher
}

type watcher struct {
	cgroup uint64
	all    bool // also what is allowed
	events chan bpf.Event
	missed uint64 // events for which the channel had no room; under the tracer's lock
}

func (t *tracer) join(maps *bpf.Maps, cgroup uint64, all bool) (*watcher, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring == nil {
		ring, err := maps.Ring()
		if err != nil {
			return nil, err
		}
		t.ring, t.reading = ring, make(chan struct{})
		go t.read(ring, t.reading)
	}
	w := &watcher{cgroup: cgroup, all: all, events: make(chan bpf.Event, traceBacklog)}
	t.watchers = append(t.watchers, w)
	return w, t.ring.Trace(cgroup, t.traced(cgroup), t.tracing())
}

// leave takes a watcher out; the last one ends the reading.
func (t *tracer) leave(w *watcher) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers = slices.DeleteFunc(t.watchers, func(other *watcher) bool { return other == w })
	err := t.ring.Trace(w.cgroup, t.traced(w.cgroup), t.tracing())
	if len(t.watchers) > 0 {
		return err
	}
	ring, reading := t.ring, t.reading
	t.ring = nil
	err = errors.Join(err, ring.Close())
	t.mu.Unlock() // the reader may want it for its last event
	<-reading
	t.mu.Lock()
	return err
}

// traced says whether somebody wants to know of allowed calls too. mu is held.
func (t *tracer) traced(cgroup uint64) bool {
	return slices.ContainsFunc(t.watchers, func(w *watcher) bool { return w.all && w.cgroup == cgroup })
}

// tracing counts those. mu is held.
func (t *tracer) tracing() (n int) {
	for _, w := range t.watchers {
		if w.all {
			n++
		}
	}
	return n
}

func (t *tracer) read(ring *bpf.Ring, done chan<- struct{}) {
	defer close(done)
	for {
		e, err := ring.Wait()
		if err != nil {
			return
		}
		t.pass(e)
	}
}

func (t *tracer) pass(e bpf.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, w := range t.watchers {
		if w.cgroup != e.Cgroup || !w.all && !e.Denied {
			continue
		}
		select {
		case w.events <- e:
		default:
			w.missed++
		}
	}
}

// lost counts what w has not been told: the ring's losses are of all apps.
func (t *tracer) lost(w *watcher) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ring == nil {
		return w.missed
	}
	n, err := t.ring.Lost()
	if err != nil {
		return w.missed
	}
	return n + w.missed
}

// trace tells the events of one run until ctx ends, the run does, or see fails.
func (h *Host) trace(ctx context.Context, cgroup uint64, over <-chan struct{}, see func(sandbox.TraceEvent) error) (err error) {
	raised, noFence := h.fence.get(ctx, h.config)
	if noFence != nil {
		return fmt.Errorf("trace: %w", noFence)
	}
	if raised.LSM != nil {
		note := "only sockets, devices and sysctls are seen, files and programs are not: " + lsmText(raised, nil)
		if err := see(sandbox.TraceEvent{Time: time.Now(), Note: note}); err != nil {
			return err
		}
	}
	return h.watch(ctx, raised.Maps, cgroup, true, over, see)
}

func (h *Host) watch(ctx context.Context, maps *bpf.Maps, cgroup uint64, all bool, over <-chan struct{}, see func(sandbox.TraceEvent) error) (err error) {
	w, err := h.tracer.join(maps, cgroup, all)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.tracer.leave(w)) }()
	return h.tracer.tell(ctx, w, over, see)
}

// refusals tells the denials of one run until it ends; there are none where no
// program stands.
func (h *Host) refusals(ctx context.Context, cgroup uint64, over <-chan struct{}, see func(sandbox.TraceEvent) error) error {
	raised, noFence := h.fence.get(ctx, h.config)
	if noFence != nil {
		return nil //nolint:nilerr // posture says so
	}
	return h.watch(ctx, raised.Maps, cgroup, false, over, see)
}

func (t *tracer) tell(ctx context.Context, w *watcher, over <-chan struct{}, see func(sandbox.TraceEvent) error) error {
	tick := time.NewTicker(lostInterval)
	defer tick.Stop()
	told := uint64(0)
	for {
		var next sandbox.TraceEvent
		select {
		case e := <-w.events:
			next = traceEvent(e)
		case <-tick.C:
			next.Time = time.Now()
		case <-over:
			return w.rest(see)
		case <-ctx.Done():
			return nil
		}
		if lost := t.lost(w); lost > told {
			next.Lost, told = lost-told, lost
		}
		if next.Call == "" && next.Lost == 0 {
			continue
		}
		if err := see(next); err != nil {
			return err
		}
	}
}

// lastWords is how long the ring's reader may take to come to what an app did
// at its end.
const lastWords = 50 * time.Millisecond

// rest tells what is left when the app has ended.
func (w *watcher) rest(see func(sandbox.TraceEvent) error) error {
	time.Sleep(lastWords)
	for {
		select {
		case e := <-w.events:
			if err := see(traceEvent(e)); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func traceEvent(e bpf.Event) sandbox.TraceEvent {
	return sandbox.TraceEvent{
		Time: time.Now().Add(e.Time - monotonic()), Wall: e.Hook.Line(), Call: e.Hook.String(),
		Denied: e.Denied, PID: e.PID, Comm: e.Comm, Detail: e.Detail,
	}
}

// monotonic is the clock by which the kernel dates events.
func monotonic() time.Duration {
	var now unix.Timespec
	if unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) != nil {
		return 0
	}
	return time.Duration(now.Nano())
}

// Refusals tells what the kernel refuses the app, until it has ended.
func (i *instance) Refusals(ctx context.Context, see func(sandbox.TraceEvent) error) error {
	return i.refusals(ctx, i.over, see)
}

// Trace tells what the app touches.
func (i *instance) Trace(ctx context.Context, see func(sandbox.TraceEvent) error) error {
	return i.trace(ctx, i.over, see)
}
