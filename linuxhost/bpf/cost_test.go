//go:build linux

package bpf_test

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost/bpf"
)

// mostOpenCost is what an open and a close may cost behind LSM programs, as a
// multiple of what they cost without any.
const mostOpenCost = 1.15

// TestLSMCost counts instructions: the machine's clock is made to.
func TestLSMCost(t *testing.T) {
	if !inGuest() {
		for _, kernel := range vmtest.LSMKernels() {
			t.Run(kernel, func(t *testing.T) {
				vmtest.Test(t, thisPackage, "^TestLSMCost$", vmtest.Config{Kernel: kernel, Exact: true, Timeout: 5 * time.Minute})
			})
		}
		return
	}
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, []byte("x"), 0o644))
	bare := cost(t, file, nil)
	dir := filepath.Join(unifiedMount(t), "cost")
	must(t, os.MkdirAll(filepath.Join(dir, "run"), 0o755))
	f, err := bpf.Raise(context(), bpf.Config{Cgroup: dir, Name: "cost", Self: self(t)})
	must(t, err)
	must(t, f.LSM)
	stranger := cost(t, file, nil)
	group, err := os.Open(filepath.Join(dir, "run"))
	must(t, err)
	defer group.Close()
	sealHere(t, f.Pins, group.Name())
	tenant := cost(t, file, group)
	for _, c := range costs {
		t.Logf("%-12s instructions: %5.0f bare, %5.0f (×%.3f) for others, %5.0f (×%.3f) in a sandbox",
			c.name, bare[c.name], stranger[c.name], stranger[c.name]/bare[c.name], tenant[c.name], tenant[c.name]/bare[c.name])
	}
	if ratio := tenant["open+close"] / bare["open+close"]; ratio > mostOpenCost {
		t.Errorf("open and close cost ×%.3f, at most ×%.2f is wanted", ratio, mostOpenCost)
	}
}

// sealHere gives a cgroup all that this process has.
func sealHere(t *testing.T, pins, cgroup string) {
	t.Helper()
	id, err := bpf.CgroupID(cgroup)
	must(t, err)
	rules, err := bpf.OpenRules(pins)
	must(t, err)
	s := home(t)
	s.Mounts, err = bpf.MountsOf(os.Getpid())
	must(t, err)
	must(t, rules.Seal(id, s))
	must(t, rules.Close())
}

// cost runs costRole in a cgroup, or here.
func cost(t *testing.T, file string, group *os.File) map[string]float64 {
	t.Helper()
	var out bytes.Buffer
	cmd := exec.Command(self(t), "cost", file)
	cmd.Env = []string{"GOMAXPROCS=1", "GOGC=off"}
	cmd.Stdout, cmd.Stderr = &out, os.Stderr
	if group != nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd())}
	}
	must(t, cmd.Run())
	found := map[string]float64{}
	for line := range strings.Lines(out.String()) {
		name, number, _ := strings.Cut(strings.TrimSpace(line), " ")
		n, err := strconv.ParseFloat(number, 64)
		must(t, err)
		found[name] = n
	}
	return found
}

// costs are the calls that are counted, by raw system calls: the run time's own
// work around them is none.
var costs = []struct {
	name string
	act  func(path *byte, fd uintptr)
}{
	{"open+close", func(path *byte, _ uintptr) {
		fd, _, _ := syscall.RawSyscall6(unix.SYS_OPENAT, cwd, uintptr(unsafe.Pointer(path)), unix.O_RDONLY, 0, 0, 0)
		syscall.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}},
	{"stat", func(path *byte, _ uintptr) {
		var st unix.Stat_t
		syscall.RawSyscall6(unix.SYS_NEWFSTATAT, cwd, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(&st)), 0, 0, 0)
	}},
	{"read", func(_ *byte, fd uintptr) {
		var b [1]byte
		syscall.RawSyscall6(unix.SYS_PREAD64, fd, uintptr(unsafe.Pointer(&b[0])), 1, 0, 0, 0)
	}},
	{"getpid", func(*byte, uintptr) { syscall.RawSyscall(unix.SYS_GETPID, 0, 0, 0) }},
}

// cwd is AT_FDCWD as a register holds it.
const cwd = ^uintptr(99)

const (
	costBatches = 9
	costTimes   = 300
)

// costRole prints the least that each call costs, in instructions.
func costRole(args []string) error {
	path, err := unix.BytePtrFromString(args[0])
	if err != nil {
		return err
	}
	fd, err := unix.Open(args[0], unix.O_RDONLY, 0)
	if err != nil {
		return err
	}
	for _, c := range costs {
		least := math.Inf(1)
		for range costBatches {
			began := time.Now()
			for range costTimes {
				c.act(path, uintptr(fd))
			}
			least = min(least, float64(time.Since(began))/costTimes)
		}
		fmt.Println(c.name, least)
	}
	return nil
}
