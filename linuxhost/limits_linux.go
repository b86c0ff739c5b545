package linuxhost

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// What an app gets when its Spec does not say: enough for a browser inside,
// too little to starve the machine.
const (
	defaultMemory = 4 << 30 // bytes, and at most three quarters of the machine's
	defaultPIDs   = 1024

	// initPIDs are the threads of our own init, which count too.
	initPIDs = 16
	// initMemory is what our own init takes of the app's memory, in bytes.
	initMemory = 24 << 20

	cpuPeriod = 100_000 // µs
)

// withDefaults replaces the zeros of l: there is no such thing as no limit.
func withDefaults(l sandbox.Limits) sandbox.Limits {
	if l.Memory <= 0 {
		l.Memory = defaultMemory
		var info unix.Sysinfo_t
		if unix.Sysinfo(&info) == nil {
			total := int64(info.Totalram) * int64(info.Unit) //nolint:gosec // bytes of memory
			l.Memory = min(l.Memory, total/4*3)
		}
	}
	if l.PIDs <= 0 {
		l.PIDs = defaultPIDs
	}
	if l.CPUs <= 0 {
		l.CPUs = float64(runtime.NumCPU())
	}
	return l
}

// setting is one value for one control file.
type setting struct {
	controller, v1, v2, value string
	optional                  bool // swap accounting and cpu quotas may be compiled out
}

func settings(l sandbox.Limits) []setting {
	memory := strconv.FormatInt(l.Memory+initMemory, 10)
	all := []setting{
		{controller: "pids", v1: "pids.max", v2: "pids.max", value: strconv.FormatInt(l.PIDs+initPIDs, 10)},
		{controller: "memory", v1: "memory.limit_in_bytes", v2: "memory.max", value: memory},
		{controller: "memory", v1: "memory.memsw.limit_in_bytes", value: memory, optional: true},
		{controller: "memory", v2: "memory.swap.max", value: "0", optional: true},
	}
	if l.CPUs >= float64(runtime.NumCPU()) { // no limit, though the first on a machine costs it a pause
		return all
	}
	quota := int64(math.Ceil(l.CPUs * cpuPeriod))
	return append(all,
		setting{controller: "cpu", v1: "cpu.cfs_period_us", value: strconv.Itoa(cpuPeriod), optional: true},
		setting{controller: "cpu", v1: "cpu.cfs_quota_us", value: strconv.FormatInt(quota, 10), optional: true},
		setting{controller: "cpu", v2: "cpu.max", value: fmt.Sprintf("%d %d", quota, cpuPeriod), optional: true},
	)
}

func (g *cgroup) limit(l sandbox.Limits) error {
	for _, s := range settings(l) {
		file := g.control(s)
		if file == "" {
			continue
		}
		err := writeFile(file, s.value)
		if err != nil && !(s.optional && errors.Is(err, fs.ErrNotExist)) {
			return fmt.Errorf("limit %s to %s: %w", filepath.Base(file), s.value, err)
		}
	}
	return nil
}

// control returns the file that s is written to, "" when there is none.
func (g *cgroup) control(s setting) string {
	dir, v2, found := g.dir(s.controller)
	name := s.v1
	if v2 {
		name = s.v2
	}
	if !found || name == "" {
		return ""
	}
	return filepath.Join(dir, name)
}

// standing reads the required limits back and compares them with what was
// asked; the text is for people.
func (g *cgroup) standing(l sandbox.Limits) (detail string, stands bool) {
	var parts []string
	stands = true
	for _, missing := range missingControllers(g.trees) {
		parts, stands = append(parts, missing+": no controller"), false
	}
	for _, s := range settings(l) {
		file := g.control(s)
		if file == "" || s.optional {
			continue
		}
		raw, err := os.ReadFile(file)
		got := strings.TrimSpace(string(raw))
		if err != nil || !sameLimit(got, s.value) {
			stands = false
		}
		parts = append(parts, filepath.Base(file)+"="+got)
	}
	return strings.Join(parts, " "), stands
}

// sameLimit allows for the kernel's rounding down to pages.
func sameLimit(got, asked string) bool {
	g, gotErr := strconv.ParseInt(got, 10, 64)
	a, askedErr := strconv.ParseInt(asked, 10, 64)
	return gotErr == nil && askedErr == nil && g <= a && a-g < int64(os.Getpagesize())
}

// oomKilled says whether the kernel killed a process of the app for memory.
func (g *cgroup) oomKilled() bool {
	dir, v2, found := g.dir("memory")
	if !found {
		return false
	}
	name := "memory.oom_control"
	if v2 {
		name = "memory.events"
	}
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "oom_kill" && value != "0" {
			return true
		}
	}
	return false
}
