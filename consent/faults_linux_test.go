package consent

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/consentry/consentry/internal/faultfs"
)

// fault is one that hits the story: at the n-th change or sync, once or from
// there on.
type fault struct {
	at      int
	errno   syscall.Errno
	forever bool
}

func (f fault) String() string {
	return fmt.Sprintf("%v at %d, forever %v", f.errno, f.at, f.forever)
}

// TestDiskFaults tells the story on a disk that is full or broken from some point
// on: what is then on it is the old or the new state, or denies all.
func TestDiskFaults(t *testing.T) {
	if raceDetector {
		without(t)
		return
	}
	mount := t.TempDir()
	f, err := faultfs.Mount(mount)
	if err != nil {
		t.Skipf("needs root and /dev/fuse: %v", err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	story := crashStory()[:17]
	after, total := faultless(t, f, filepath.Join(mount, "sound"), story)
	every := max(1, total/40)
	if long() {
		every = 1
	}
	var count [3]int
	runs, refused := 0, 0
	for at := 1; at <= total; at += every {
		for _, hit := range []fault{{at, syscall.ENOSPC, false}, {at, syscall.ENOSPC, true}, {at, syscall.EIO, false}, {at, syscall.EIO, true}} {
			runs++
			act := faulty(f, hit, filepath.Join(mount, "run"+strconv.Itoa(runs)), story, after, t)
			if act < len(story) {
				refused++
			}
			may := after[act:min(act+2, len(after))]
			dir := t.TempDir()
			must(t, os.CopyFS(filepath.Join(dir, "consent"), os.DirFS(filepath.Join(mount, "run"+strconv.Itoa(runs)))))
			what, err := crash{allowed: may}.reopen(dir)
			if err != nil {
				t.Errorf("%v, act %d: %v", hit, act, err)
			}
			if what == foundDenied {
				t.Errorf("%v, act %d: denies all afterwards", hit, act)
			}
			count[what]++
		}
	}
	t.Logf("%d runs over %d operations, %d ended at an error; afterwards %d old, %d new, %d deny all",
		runs, total, refused, count[foundOld], count[foundNew], count[foundDenied])
	if refused == 0 {
		t.Error("no fault was met")
	}
}

// faultless tells the story where all goes well.
func faultless(t *testing.T, f *faultfs.FS, dir string, story []act) (after []string, total int) {
	t.Helper()
	f.Fail(func(faultfs.Op) syscall.Errno { total++; return 0 })
	defer f.Fail(nil)
	e := openWith(t, crashConfig(dir))
	after = append(after, verdicts(e))
	for _, act := range story {
		must(t, act(e))
		after = append(after, verdicts(e))
	}
	must(t, e.Close())
	return after, total
}

// faulty tells it up to the first act that goes wrong, and returns which that is.
// The agent is then gone without a word.
func faulty(f *faultfs.FS, hit fault, dir string, story []act, after []string, t *testing.T) int {
	t.Helper()
	n := 0
	f.Fail(func(o faultfs.Op) syscall.Errno {
		if o.Kind == faultfs.Remove { // needs no room
			return 0
		}
		if n++; n == hit.at || n > hit.at && hit.forever {
			return hit.errno
		}
		return 0
	})
	e, err := Open(context.Background(), crashConfig(dir))
	if err != nil {
		f.Fail(nil)
		must(t, os.MkdirAll(dir, 0o700))
		return 0
	}
	defer func() {
		// What a killed agent would not write is not written, and not waited for.
		f.Fail(func(faultfs.Op) syscall.Errno { return syscall.EIO })
		_ = e.Close()
		f.Fail(nil)
	}()
	for i, act := range story {
		if err := act(e); err != nil {
			return i
		}
		if got := verdicts(e); e.Health() == nil && got != after[i+1] {
			t.Errorf("%v: after act %d it says %s, not %s", hit, i, got, after[i+1])
		} else if e.Health() != nil && strings.Contains(got, "y") {
			t.Errorf("%v: after act %d it allows what it cannot write down: %s", hit, i, got)
		}
	}
	return len(story)
}
