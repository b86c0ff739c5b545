package consent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// smallDisk is a file system of its own with room for size bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("consentry-test", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("needs root, to mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, 0); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill takes all the room that is left.
func fill(t *testing.T, dir string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	must(t, err)
	defer f.Close()
	for _, block := range []int{64 << 10, 4096} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, block))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
	}
	return path
}

func uses(t *testing.T, e *Engine) int {
	t.Helper()
	lines, err := e.Log(t.Context(), Query{Limit: maxLines})
	must(t, err)
	n := 0
	for _, l := range lines {
		if l.Event == "use" {
			n++
		}
	}
	return n
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatal("not within 30 s: ", what)
}

// Probe 63, the store's part: the disk is full, the store keeps its reserve.
func TestProbe63AFullDiskTakesAnswersButGivesNothing(t *testing.T) {
	disk := smallDisk(t, "size=16m")
	dir := filepath.Join(disk, "consent")
	e := openWith(t, Config{Dir: dir})
	d := asked(t, e, asking(target), Allow, Always)
	filler := fill(t, disk)

	const used = 300
	for range used {
		e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, Rule: d.Rule, In: 1})
	}
	late := e.Pending
	if _, err := e.Allow(t.Context(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: "tcp/other.example.com:443", Verdict: Deny}); err != nil {
		t.Fatalf("a no cannot be saved: %v", err)
	}
	eventually(t, "an alert", func() bool { return e.Health() != nil })
	if got := silent(e, asking(target)); got.Verdict != Deny || got.Source != FromFault {
		t.Errorf("what cannot be written down is given: %+v", got)
	}
	if got := e.Decide(t.Context(), asking("tcp/new.example.com:443"), Ask{Hold: time.Minute}); got.Verdict != Deny || len(late()) != 0 {
		t.Errorf("asked all the same: %+v", got)
	}
	taken, err := e.Revoke(t.Context(), Selector{ID: d.Rule})
	if err != nil || len(taken) != 1 {
		t.Fatalf("cannot be taken back on a full disk: %v", err)
	}

	must(t, os.Remove(filler))
	eventually(t, "health", func() bool { return e.Health() == nil })
	eventually(t, "all uses in the ledger", func() bool { return uses(t, e) == used })
	if info, err := os.Stat(filepath.Join(dir, reserveFile)); err != nil || info.Size() != (limits{}).orDefault().reserve {
		t.Errorf("the reserve is not made again: %v", err)
	}
	verified(t, e)
	must(t, e.Close())
	after := openWith(t, Config{Dir: dir})
	if rules := after.Rules(""); len(rules) != 1 || rules[0].Verdict != Deny {
		t.Errorf("rules after a new start: %+v", rules)
	}
}

// The reserve is spent too: an error, everything denied, and nothing lost.
func TestADiskFullerThanTheReserveDeniesAndLosesNothing(t *testing.T) {
	disk := smallDisk(t, "size=4m")
	dir := filepath.Join(disk, "consent")
	e := openWith(t, Config{Dir: dir, limits: limits{reserve: 64 << 10}})
	d := asked(t, e, asking(target), Allow, Always)
	e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, Rule: d.Rule})
	filler := ""
	var saved []string
	for i := 0; ; i++ { // each answer takes room that is filled at once
		filler = fill(t, disk)
		r, err := e.Allow(context.Background(), Rule{App: demo.ID(), AppName: "demo", Kind: NetConnect, Target: targetNumber(i), Verdict: Deny})
		if err != nil {
			break
		}
		if saved = append(saved, r.Target); i > 1000 {
			t.Fatal("the disk is never full")
		}
	}
	if len(saved) == 0 {
		t.Error("the reserve was good for nothing")
	}
	e.Used(Use{App: demo, Run: "run1", Kind: NetConnect, Target: target, Rule: d.Rule})
	if err := e.Health(); err == nil {
		t.Error("no alert")
	}
	if got := silent(e, asking(target)); got.Verdict != Deny {
		t.Errorf("allowed: %+v", got)
	}
	must(t, os.Remove(filler))
	eventually(t, "health", func() bool { return e.Health() == nil })
	eventually(t, "both uses", func() bool { return uses(t, e) == 2 })
	if got := silent(e, asking(target)); got.Verdict != Allow {
		t.Errorf("not given again: %+v", got)
	}
	must(t, e.Close())
	if rules := openWith(t, Config{Dir: dir}).Rules(""); len(rules) != len(saved)+1 {
		t.Errorf("%d rules, %d answers were confirmed", len(rules), len(saved)+1)
	}
}

func targetNumber(i int) string { return "tcp/h" + time.Duration(i).String() + ".example.com:443" }

// An agent that starts on a full disk denies, and serves once there is room.
func TestAStartOnAFullDiskDenies(t *testing.T) {
	disk := smallDisk(t, "size=8m")
	dir := filepath.Join(disk, "consent")
	e := openWith(t, Config{Dir: dir, limits: limits{reserve: 64 << 10}})
	asked(t, e, asking(target), Allow, Always)
	must(t, e.Close())
	must(t, os.Remove(filepath.Join(dir, reserveFile)))
	filler := fill(t, disk)
	after := openWith(t, Config{Dir: dir, limits: limits{reserve: 64 << 10}})
	if after.Health() == nil {
		t.Error("no alert")
	}
	if got := silent(after, asking(target)); got.Verdict != Deny {
		t.Errorf("got %+v", got)
	}
	if errors.Is(after.Health(), ErrDamaged) {
		t.Errorf("a full disk is taken for damage: %v", after.Health())
	}
	must(t, os.Remove(filler))
	if after.fault == nil { // else only a new start helps
		eventually(t, "health", func() bool { return after.Health() == nil })
	}
	must(t, after.Close())
	if got := silent(openWith(t, Config{Dir: dir}), asking(target)); got.Verdict != Allow {
		t.Errorf("lost: %+v", got)
	}
}
