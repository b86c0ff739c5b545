package bpf

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// Maps are the maps of a fence, open: what the programs judge by, and what they
// report to. Whoever holds them rules the sandboxes below the fence, and nobody
// else.
type Maps struct {
	policies, traced, counters, events *ebpf.Map
	mounts, filesystems, mapped        *ebpf.Map // nil where no LSM program stands
}

// slot is one map of a fence.
type slot struct {
	name  string // of its pin
	value **ebpf.Map
	rules bool // it is judged by
	lsm   bool // it is there where LSM programs stand
}

// slots are in the order in which the maps are handed over.
func (m *Maps) slots() []slot {
	return []slot{
		{cgroupMapPolicies, &m.policies, true, false},
		{lsmMapMounts, &m.mounts, true, true}, {lsmMapFilesystems, &m.filesystems, true, true}, {lsmMapMapped, &m.mapped, true, true},
		{cgroupMapTraced, &m.traced, false, false}, {cgroupMapCounters, &m.counters, false, false}, {cgroupMapEvents, &m.events, false, false},
	}
}

// OpenMaps opens what is pinned.
func OpenMaps(pins string) (*Maps, error) {
	m := &Maps{}
	for _, s := range m.slots() {
		opened, err := ebpf.LoadPinnedMap(filepath.Join(pins, s.name), nil)
		if s.lsm && isNotExist(err) {
			continue
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("maps of the kernel: %s: %w", s.name, err), m.Close())
		}
		*s.value = opened
	}
	return m, nil
}

// MapsOf takes over descriptors that Files has given in another process.
func MapsOf(files []*os.File) (*Maps, error) { return takeMaps(files, false) }

// takeMaps closes files. onlyRules leaves out what programs report to.
func takeMaps(files []*os.File, onlyRules bool) (_ *Maps, err error) {
	m := &Maps{}
	defer func() {
		for _, f := range files {
			f.Close()
		}
		if err != nil {
			err = errors.Join(err, m.Close())
		}
	}()
	all := m.wanted(onlyRules, true)
	wanted := all
	if len(files) < len(all) {
		wanted = m.wanted(onlyRules, false)
	}
	if len(files) != len(wanted) {
		return nil, fmt.Errorf("%w: %d maps of the kernel, want %d or %d", sandbox.ErrInvalid, len(files), len(all), len(m.wanted(onlyRules, false)))
	}
	for i, s := range wanted {
		fd, err := unix.FcntlInt(files[i].Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("map %s of the kernel: %w", s.name, err)
		}
		if *s.value, err = ebpf.NewMapFromFD(fd); err != nil { // it has closed fd
			return nil, fmt.Errorf("map %s of the kernel: %w", s.name, err)
		}
	}
	return m, nil
}

func (m *Maps) wanted(onlyRules, lsm bool) []slot {
	var some []slot
	for _, s := range m.slots() {
		if (s.rules || !onlyRules) && (lsm || !s.lsm) {
			some = append(some, s)
		}
	}
	return some
}

// LSM says whether LSM programs read these maps.
func (m *Maps) LSM() bool { return m.mounts != nil }

// TakeLSM takes the maps of LSM programs over, and closes what else from holds.
func (m *Maps) TakeLSM(from *Maps) error {
	m.mounts, m.filesystems, m.mapped = from.mounts, from.filesystems, from.mapped
	from.mounts, from.filesystems, from.mapped = nil, nil, nil
	return from.Close()
}

// Files are descriptors of all maps, for another process.
func (m *Maps) Files() ([]*os.File, error) { return m.files(false) }

// RuleFiles are descriptors of those that Rules works on.
func (m *Maps) RuleFiles() ([]*os.File, error) { return m.files(true) }

func (m *Maps) files(onlyRules bool) ([]*os.File, error) {
	var files []*os.File
	for _, s := range m.wanted(onlyRules, m.LSM()) {
		fd, err := unix.FcntlInt(uintptr((*s.value).FD()), unix.F_DUPFD_CLOEXEC, 0) //nolint:gosec // a descriptor
		if err != nil {
			for _, f := range files {
				f.Close()
			}
			return nil, fmt.Errorf("map %s of the kernel: %w", s.name, err)
		}
		files = append(files, os.NewFile(uintptr(fd), s.name)) //nolint:gosec // a descriptor
	}
	return files, nil
}

func (m *Maps) pin(pins string) error { return pin(pins, m.wanted(false, false)) }
func (m *Maps) pinLSM(pins string) error {
	return pin(pins, slices.DeleteFunc(m.slots(), func(s slot) bool { return !s.lsm }))
}

func pin(pins string, slots []slot) error {
	for _, s := range slots {
		if err := (*s.value).Pin(filepath.Join(pins, s.name)); err != nil {
			return fmt.Errorf("pin %s: %w", s.name, err)
		}
	}
	return nil
}

// forgetLSM is for LSM programs that do not stand after all.
func (m *Maps) forgetLSM(pins string) error {
	var errs error
	for _, s := range m.slots() {
		if s.lsm && *s.value != nil {
			if err := os.Remove(filepath.Join(pins, s.name)); !isNotExist(err) {
				errs = errors.Join(errs, err)
			}
			errs = errors.Join(errs, (*s.value).Close())
			*s.value = nil
		}
	}
	return errs
}

// Close lets go of the maps; what is in them stays in force.
func (m *Maps) Close() error {
	var errs error
	for _, s := range m.slots() {
		if *s.value != nil {
			errs = errors.Join(errs, (*s.value).Close())
			*s.value = nil
		}
	}
	return errs
}
