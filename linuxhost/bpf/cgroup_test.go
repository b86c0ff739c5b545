//go:build linux

package bpf_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
)

// TestCgroupPrograms: each of the second line's programs is seen to allow and
// to deny, with the process that raised them dead.
func TestCgroupPrograms(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to load eBPF programs")
	}
	w := newWorld(t, "cgroup", t.TempDir())
	never := map[string]syscall.Errno{"raw socket": unix.EPERM, "/dev/kmsg": unix.EPERM}
	want(t, "building", w.try(), but(0, never))
	sandbox := home(t)
	w.seal(sandbox)
	sealed := map[string]syscall.Errno{"raw socket": unix.EPERM, "/dev/kmsg": unix.EPERM, "sysctl": unix.EPERM}
	want(t, "sealed", w.try(), but(0, sealed))
	must(t, w.rules.Standing(w.cgroup, sandbox))

	elsewhere := sandbox
	elsewhere.Cookie++
	if w.rules.Standing(w.cgroup, elsewhere) == nil {
		t.Error("a policy that nobody made is said to stand")
	}
	w.seal(elsewhere)
	want(t, "in another network", w.try(), but(unix.EPERM, map[string]syscall.Errno{"/dev/null": 0}))
	w.seal(sandbox)
	want(t, "sealed again", w.try(), but(0, sealed))

	must(t, w.rules.Forget(w.cgroup, sandbox))
	want(t, "without a policy", w.try(), all(unix.EPERM))
	if have, all := bpf.Attached(w.fence.Pins, false); have != all || all == 0 {
		t.Errorf("%d of %d links are pinned", have, all)
	}
	w.sameVerdictsWhenTheRingIsFull(all(unix.EPERM))
	w.everyHookReported("cgroup")
	must(t, os.Remove(filepath.Join(w.fence.Pins, "link-connect4")))
	if have, all := bpf.Attached(w.fence.Pins, false); have != all-1 {
		t.Errorf("%d of %d links are pinned after one was taken away", have, all)
	}
	ends := w.try()
	for start := time.Now(); ends["connect4"] != 0 && time.Since(start) < 20*time.Second; ends = w.try() {
		time.Sleep(10 * time.Millisecond) // the kernel lets go of a link in its own time
	}
	want(t, "one program taken away", ends, but(unix.EPERM, map[string]syscall.Errno{"connect4": 0}))
}

// sameVerdictsWhenTheRingIsFull tries until an event was lost.
func (w *world) sameVerdictsWhenTheRingIsFull(expected func(string) syscall.Errno) {
	w.t.Helper()
	ring, err := bpf.OpenRing(w.fence.Pins)
	must(w.t, err)
	defer ring.Close()
	const tries = 2000 // the ring has room for about 1,000 events
	for range tries {
		ends := w.try()
		lost, err := ring.Lost()
		must(w.t, err)
		if lost == 0 {
			continue
		}
		want(w.t, "ring full", ends, expected)
		before := lost
		want(w.t, "ring full", w.try(), expected)
		if after, err := ring.Lost(); err != nil || after <= before {
			w.t.Errorf("%d lost, then %d: %v", before, after, err)
		}
		return
	}
	w.t.Fatal("the ring never was full")
}

// everyHookReported reads the ring and finds a denial by each hook of the
// attempts.
func (w *world) everyHookReported(line string) {
	w.t.Helper()
	ring, err := bpf.OpenRing(w.fence.Pins)
	must(w.t, err)
	defer ring.Close()
	missing := map[bpf.Hook]bool{}
	for _, a := range w.calls {
		missing[a.hook] = true
	}
	for {
		e, err := ring.Next()
		if err != nil {
			break
		}
		if e.Cgroup == w.cgroup && e.Denied && e.Hook.Line() == line {
			delete(missing, e.Hook)
		}
	}
	for hook := range missing {
		w.t.Errorf("no denial by %s/%s was reported", line, hook)
	}
}
