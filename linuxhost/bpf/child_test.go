//go:build linux

package bpf_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if role := roles[os.Args[1]]; role != nil {
			if err := role(os.Args[2:]); err != nil {
				fmt.Fprintln(os.Stderr, os.Args[1], err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	os.Exit(m.Run())
}

// roles are what this binary does as another process of a test.
var roles = map[string]func(args []string) error{
	bpf.ProofName: func([]string) error { return bpf.ProofMain(os.Stdout) },
	"nothing":     func([]string) error { return nil },
	"raise":       raiseRole,
	"tenant":      tenantRole,
	"cost":        costRole,
}

// attempt is one call that a sandbox tries again and again. prepare runs while
// everything is allowed; act is judged.
type attempt struct {
	name    string
	hook    bpf.Hook // that must judge it
	prepare func(t *tenant) error
	act     func(t *tenant) error
}

// tenant is the process in the judged cgroup. It talks with the test through
// shared memory: what is denied everything can neither read nor write.
type tenant struct {
	share string // directory on a mount of its own
	page  *page
	held  map[string]int // descriptors, by name
	calls []attempt
}

// page is the shared memory.
type page struct {
	asked, done atomic.Uint32
	failed      atomic.Uint32
	errno       [120]atomic.Uint32
}

func mapPage(fd int) (*page, error) {
	raw, err := unix.Mmap(fd, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, err
	}
	return (*page)(unsafe.Pointer(&raw[0])), nil
}

const pageFD = 3

// tenantRole tries every attempt of a set, each time it is asked.
func tenantRole(args []string) error {
	debug.SetGCPercent(-1) // no work of the run time's own while nothing is allowed
	p, err := mapPage(pageFD)
	if err != nil {
		return err
	}
	t := &tenant{share: args[1], page: p, held: map[string]int{}, calls: attempts[args[0]]}
	for _, a := range t.calls {
		if a.prepare == nil {
			continue
		}
		if err := a.prepare(t); err != nil {
			p.failed.Store(1)
			return fmt.Errorf("prepare %s: %w", a.name, err)
		}
	}
	for round := uint32(0); ; round++ {
		p.done.Store(round + 1)
		for p.asked.Load() <= round {
			unix.Nanosleep(&unix.Timespec{Nsec: 500_000}, nil)
		}
		for i, a := range t.calls {
			p.errno[i].Store(uint32(errnoOf(a.act(t))))
		}
	}
}

// oddErrno stands for an error that is none of the kernel's.
const oddErrno = 4000

func errnoOf(err error) syscall.Errno {
	var errno syscall.Errno
	switch {
	case err == nil:
		return 0
	case errors.As(err, &errno):
		return errno
	}
	return oddErrno
}

// world is a fence with one tenant below it.
type world struct {
	t      *testing.T
	name   string
	above  string // the cgroup that is fenced
	cgroup uint64 // of the tenant
	dir    string // of the tenant's cgroup
	fence  *bpf.Fence
	rules  *bpf.Rules
	page   *page
	calls  []attempt
	round  uint32
	cmd    *exec.Cmd
}

// newWorld raises a fence by a process that is then killed: everything below
// is seen with a dead agent.
func newWorld(t *testing.T, set, share string) *world {
	t.Helper()
	w := &world{t: t, name: fmt.Sprintf("test-%d-%s", os.Getpid(), set), calls: attempts[set]}
	w.above = filepath.Join(unifiedMount(t), w.name)
	w.dir = filepath.Join(w.above, "tenant")
	must(t, os.MkdirAll(w.dir, 0o755))
	t.Cleanup(w.remove)
	w.raise()
	var err error
	w.cgroup, err = bpf.CgroupID(w.dir)
	must(t, err)
	w.rules, err = bpf.OpenRules(w.fence.Pins)
	must(t, err)
	must(t, w.rules.Build(w.cgroup))
	w.start(set, share)
	return w
}

func (w *world) start(set, share string) {
	w.t.Helper()
	memory, err := unix.MemfdCreate("page", unix.MFD_CLOEXEC)
	must(w.t, err)
	shared := os.NewFile(uintptr(memory), "page")
	must(w.t, shared.Truncate(int64(os.Getpagesize())))
	w.page, err = mapPage(memory)
	must(w.t, err)
	group, err := os.Open(w.dir)
	must(w.t, err)
	defer group.Close()
	w.cmd = exec.Command(self(w.t), "tenant", set, share)
	w.cmd.Stderr = os.Stderr
	w.cmd.ExtraFiles = []*os.File{shared}
	w.cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: unix.SIGKILL}
	must(w.t, w.cmd.Start())
	shared.Close()
	w.await()
}

// await returns once the tenant has done what it was asked for.
func (w *world) await() {
	w.t.Helper()
	w.round++
	for start := time.Now(); w.page.done.Load() < w.round; time.Sleep(time.Millisecond) {
		if w.page.failed.Load() != 0 || time.Since(start) > time.Minute {
			w.t.Fatalf("the tenant is stuck or has failed in round %d", w.round)
		}
	}
}

// try has the tenant try everything once, and returns how each call ended.
func (w *world) try() map[string]syscall.Errno {
	w.t.Helper()
	w.page.asked.Store(w.round)
	w.await()
	ends := map[string]syscall.Errno{}
	for i, a := range w.calls {
		ends[a.name] = syscall.Errno(w.page.errno[i].Load())
	}
	return ends
}

// seal judges the tenant by s.
func (w *world) seal(s bpf.Sandbox) {
	w.t.Helper()
	must(w.t, w.rules.Seal(w.cgroup, s))
}

func (w *world) remove() {
	if w.cmd != nil {
		w.cmd.Process.Kill()
		w.cmd.Wait()
	}
	if w.rules != nil {
		w.rules.Close()
	}
	if err := bpf.Lower(bpf.PinsOf(w.name)); err != nil {
		w.t.Error(err)
	}
	for _, dir := range []string{w.dir, filepath.Join(w.above, "fence-proof"), w.above} {
		if err := os.Remove(dir); err != nil && !errors.Is(err, os.ErrNotExist) {
			w.t.Error(err)
		}
	}
}

// raiseRole raises a fence and waits to be killed.
func raiseRole(args []string) error {
	f, err := bpf.Raise(context(), bpf.Config{Cgroup: args[0], Name: args[1], Self: args[2]})
	if err != nil {
		return err
	}
	fmt.Printf("raised %v\n", f.LSM)
	time.Sleep(time.Minute)
	return nil
}
