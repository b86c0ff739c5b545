package linuxhost

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// stats reads what the run uses now; init's own part is left out where it can
// be told.
func (l *launcher) stats() (sandbox.Stats, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.init == nil || l.over || l.group == nil {
		return sandbox.Stats{}, errOver
	}
	s := sandbox.Stats{MemoryLimit: l.spec.Limits.Memory, PIDsLimit: l.spec.Limits.PIDs, CPULimit: l.spec.Limits.CPUs}
	var cpuErr, memoryErr, pidsErr error
	s.CPU, cpuErr = l.group.cpuTime()
	s.Memory, memoryErr = l.group.memory()
	s.PIDs, pidsErr = l.group.tasks()
	if init, err := readSubject(l.init.pid()); err == nil {
		threads, err := strconv.ParseInt(init.status["Threads"], 10, 64)
		pidsErr = errors.Join(pidsErr, err)
		s.PIDs = max(s.PIDs-threads, 0)
	}
	return s, errors.Join(cpuErr, memoryErr, pidsErr)
}

// cpuTime is in every v2 cgroup, with or without the controller; in v1 it
// comes with cpuacct, which is mounted together with cpu, or alone.
func (g *cgroup) cpuTime() (time.Duration, error) {
	for _, h := range g.trees {
		if !h.v2 {
			continue
		}
		usec, err := keyed(filepath.Join(h.at(g.path), "cpu.stat"), "usage_usec")
		return time.Duration(usec) * time.Microsecond, err
	}
	if dir, _, found := g.dir("cpu"); found {
		nsec, err := number(filepath.Join(dir, "cpuacct.usage"))
		return time.Duration(nsec), err
	}
	return 0, fmt.Errorf("%w: processor time without cgroup2 or cpuacct", sandbox.ErrNotSupported)
}

// memory is what the app could not give back: page cache that nobody uses is
// not counted, as in docker's figures.
func (g *cgroup) memory() (int64, error) {
	dir, v2, found := g.dir("memory")
	if !found {
		return 0, fmt.Errorf("%w: memory use without its cgroup controller", sandbox.ErrNotSupported)
	}
	file, idle := "memory.usage_in_bytes", "total_inactive_file"
	if v2 {
		file, idle = "memory.current", "inactive_file"
	}
	used, err := number(filepath.Join(dir, file))
	if err != nil {
		return 0, err
	}
	cache, err := keyed(filepath.Join(dir, "memory.stat"), idle)
	return max(used-cache, 0), err
}

func (g *cgroup) tasks() (int64, error) {
	dir, _, found := g.dir("pids")
	if !found {
		return int64(len(g.processes())), nil
	}
	return number(filepath.Join(dir, "pids.current"))
}

func number(file string) (int64, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(strings.TrimSpace(string(raw)), 10, 64)
}

// keyed reads one value of a file of "key value" lines.
func keyed(file, key string) (int64, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(raw)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == key {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("%s has no %s", file, key)
}
