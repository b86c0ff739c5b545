//go:build linux

package story

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/consentry/consentry/internal/faultfs"
	"github.com/consentry/consentry/internal/longtest"
)

// soak starts and ends apps of three kinds while parts of Consentry fail.
type soak struct {
	*world
	trusted, other, module string // sources; only trusted was granted something
	disk                   *faultfs.FS
	starts, worked         atomic.Int64
}

// TestSoakOfMixedApps: 15 seconds, or 30 minutes with CONSENTRY_LONG=1, in which
// images and a module start and end while the store's disk fails or is full,
// files run out, and workers, launchers and clients are killed. Nobody gets what
// was not granted, nothing grows, and afterwards all works.
func TestSoakOfMixedApps(t *testing.T) {
	span, least := 15*time.Second, int64(20)
	if longtest.Wanted() {
		span, least = 30*time.Minute, 1000
	}
	s := newSoak(t)
	s.want("run", "--rm", "--quiet", "--no-input", s.module)
	s.fetch(s.trusted, "/granted")
	s.rounds(span/10, false)
	first, mounts := holdingOf(t, s.agentPID()), s.machineState()
	s.rounds(span, true)
	if n := s.starts.Load(); n < least {
		t.Errorf("only %d starts", n)
	}
	t.Logf("%d starts, %d of them did what they were for", s.starts.Load(), s.worked.Load())
	if s.worked.Load() < s.starts.Load()/4 {
		t.Error("the faults left nothing to see")
	}
	for _, list := range s.list("ps", "-a", "-q") {
		s.result("rm", "--force", list)
	}
	s.until("it works again", func() bool { return s.fetch(s.trusted, "/granted") == 0 })
	if s.fetch(s.other, "/never") == 0 {
		t.Error("the other app got through")
	}
	for _, path := range s.paths() {
		if path != "/granted" {
			t.Errorf("%s was reached, and nobody had allowed it", path)
		}
	}
	now := holdingOf(t, s.agentPID())
	t.Logf("the agent had %v and has %v", first, now)
	if now.files > first.files+10 || now.threads > first.threads+20 || now.bytes > first.bytes+first.bytes/2+32<<20 {
		t.Errorf("the agent had %v and has %v", first, now)
	}
	if got := s.machineState(); got != mounts {
		t.Errorf("%s, was %s", got, mounts)
	}
	if r := s.result("log", "verify"); r.code != 0 {
		t.Errorf("the ledger: %s%s", r.out, r.err)
	}
}

// newSoak is a world whose consent store lies on a disk that can fail.
func newSoak(t *testing.T) *soak {
	t.Helper()
	w := newWorld(t)
	s := &soak{world: w, trusted: built.image, module: oneFunction(t, []byte{0, 0x0b})} // returns at once
	s.other = variant(t, "other", func(c *v1.Config) { c.Labels = map[string]string{"who": "other"} })
	w.endAgent()
	store := filepath.Join(w.home, "consent")
	must(t, os.RemoveAll(store))
	must(t, os.Mkdir(store, 0o700))
	var err error
	s.disk, err = faultfs.Mount(store)
	must(t, err)
	t.Cleanup(func() {
		if err := s.disk.Close(); err != nil {
			t.Error(err)
		}
	})
	w.startAgent()
	w.detach("first", nil, "true")
	s.want("allow", "first", "net.connect", webTarget)
	s.want("rm", "--force", "first")
	return s
}

func (s *soak) list(args ...string) []string { return strings.Fields(s.result(args...).out) }

// fetch has an app ask the web for a path, and returns its exit code.
func (s *soak) fetch(source, path string) int {
	return s.result("run", "--rm", "--quiet", "--no-input", source, "curl", "-4sf", "-m", "20", "http://"+webName+path).code
}

// rounds runs apps for a while, four at once.
func (s *soak) rounds(span time.Duration, faults bool) {
	s.t.Helper()
	over := time.Now().Add(span)
	var work sync.WaitGroup
	for n := range 4 {
		work.Go(func() {
			for i := n; time.Now().Before(over); i++ {
				s.starts.Add(1)
				if s.once(i) {
					s.worked.Add(1)
				}
			}
		})
	}
	for i := 0; faults && time.Now().Before(over); i++ {
		s.fault(i)
		time.Sleep(time.Duration(200+rand.IntN(1000)) * time.Millisecond)
	}
	work.Wait()
}

// once starts one app, and says whether it did what it was for.
func (s *soak) once(i int) bool {
	switch i % 4 {
	case 0:
		return s.fetch(s.trusted, "/granted") == 0
	case 1:
		if s.fetch(s.other, "/never") == 0 {
			s.t.Error("the other app got through")
		}
		return false
	case 2:
		return s.result("run", "--rm", "--quiet", "--no-input", s.module).code == 0
	default:
		id := strings.TrimSpace(s.result("run", "-d", "--quiet", "--no-input", s.trusted, "sleep", "60").out)
		if id == "" {
			return false
		}
		return s.result("rm", "--force", id).code == 0
	}
}

// fault makes something fail, and ends the fault.
func (s *soak) fault(i int) {
	s.t.Helper()
	kill := func(pids []int) {
		if len(pids) > 0 {
			//nolint:errcheck // it may have ended
			syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL)
		}
	}
	switch i % 6 {
	case 0:
		kill(s.workers())
	case 1:
		kill(s.childrenNamed("consentry-launc"))
	case 2:
		r := s.start("run", "--rm", "--quiet", "--no-input", s.trusted, "sleep", "60")
		time.Sleep(100 * time.Millisecond)
		must(s.t, r.cmd.Process.Kill())
		r.wait()
	case 3, 4:
		err := map[int]syscall.Errno{3: syscall.EIO, 4: syscall.ENOSPC}[i%6]
		s.disk.Fail(func(o faultfs.Op) syscall.Errno {
			if o.Kind == faultfs.Write || o.Kind == faultfs.Create {
				return err
			}
			return 0
		})
		time.Sleep(300 * time.Millisecond)
		s.disk.Fail(nil)
	case 5:
		s.fewFiles()
	}
}

// fewFiles leaves the agent no file more than it has, for a moment.
func (s *soak) fewFiles() {
	s.t.Helper()
	pid := s.agentPID()
	var before unix.Rlimit
	must(s.t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, nil, &before))
	few := before
	few.Cur = uint64(holdingOf(s.t, pid).files + 1)
	must(s.t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &few, nil))
	time.Sleep(300 * time.Millisecond)
	must(s.t, unix.Prlimit(pid, unix.RLIMIT_NOFILE, &before, nil))
}

// childrenNamed are the agent's children whose command begins so.
func (s *soak) childrenNamed(name string) (pids []int) {
	s.t.Helper()
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", s.agentPID()))
	must(s.t, err)
	for _, list := range lists {
		raw, err := os.ReadFile(list)
		if err != nil {
			continue // a thread that has ended
		}
		for _, word := range strings.Fields(string(raw)) {
			comm, err := os.ReadFile("/proc/" + word + "/comm")
			pid, bad := strconv.Atoi(word)
			if err == nil && bad == nil && strings.HasPrefix(string(comm), name) {
				pids = append(pids, pid)
			}
		}
	}
	slices.Sort(pids)
	return pids
}
