package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"

	"github.com/consentry/consentry/sandbox"
)

// Config says what a fence is put around.
type Config struct {
	Cgroup string // directory in the cgroup2 tree above all sandboxes
	Name   string // of the pins, one path element
	Self   string // program that runs ProofName as a subcommand
}

// Fence is what was raised. It is held by pins, not by this value.
type Fence struct {
	Pins string // directory of the pinned maps and links
	// LSM is nil when LSM programs stand; else it says why not, and what to do.
	LSM error
}

// PinsOf is the directory of a fence's pins.
func PinsOf(name string) string { return filepath.Join(pinRoot, "consentry", name) }

// Raise loads and attaches the programs above cfg.Cgroup, proves that they
// deny, and pins them. An error means that not even the cgroup programs stand,
// and then nothing is left behind. What an earlier fence of that name has
// pinned is taken down first.
func Raise(ctx context.Context, cfg Config) (_ *Fence, err error) {
	pins := PinsOf(cfg.Name)
	if err := makePins(pins); err != nil {
		return nil, notSupported(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, Lower(pins))
		}
	}()
	//nolint:errcheck // kernels since 5.11 count no memory of maps against a limit
	rlimit.RemoveMemlock()
	shared, err := raiseCgroup(cfg.Cgroup, pins)
	if err != nil {
		return nil, notSupported(err)
	}
	defer shared.close()
	p, err := newProver(cfg, shared.Policies)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if err := p.cgroup(ctx); err != nil {
		return nil, notSupported(err)
	}
	f := &Fence{Pins: pins, LSM: raiseLSM(ctx, cfg.Cgroup, pins, shared, p)}
	return f, nil
}

func notSupported(err error) error {
	return fmt.Errorf("%w: eBPF cgroup programs: %w; needs root (or CAP_BPF and CAP_NET_ADMIN), CONFIG_CGROUP_BPF and a cgroup2 tree",
		sandbox.ErrNotSupported, err)
}

// sharedMaps are the maps that both sets of programs use.
type sharedMaps struct{ Policies, Traced, Counters, Events *ebpf.Map }

func (s *sharedMaps) byName() map[string]*ebpf.Map {
	return map[string]*ebpf.Map{
		cgroupMapPolicies: s.Policies, cgroupMapTraced: s.Traced, cgroupMapCounters: s.Counters, cgroupMapEvents: s.Events,
	}
}

func (s *sharedMaps) close() {
	for _, m := range s.byName() {
		m.Close()
	}
}

// cgroupPrograms are where the programs of the second line are attached.
var cgroupHooks = []struct {
	program string
	attach  ebpf.AttachType
}{
	{cgroupProgConnect4, ebpf.AttachCGroupInet4Connect},
	{cgroupProgConnect6, ebpf.AttachCGroupInet6Connect},
	{cgroupProgSendmsg4, ebpf.AttachCGroupUDP4Sendmsg},
	{cgroupProgSendmsg6, ebpf.AttachCGroupUDP6Sendmsg},
	{cgroupProgBind4, ebpf.AttachCGroupInet4Bind},
	{cgroupProgBind6, ebpf.AttachCGroupInet6Bind},
	{cgroupProgSockCreate, ebpf.AttachCGroupInetSockCreate},
	{cgroupProgDevice, ebpf.AttachCGroupDevice},
	{cgroupProgSysctl, ebpf.AttachCGroupSysctl},
}

// raiseCgroup attaches every program of the second line, or none.
func raiseCgroup(cgroup, pins string) (*sharedMaps, error) {
	spec, err := loadCgroup()
	if err != nil {
		return nil, err
	}
	loaded, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer loaded.Close()
	for _, h := range cgroupHooks {
		l, err := link.AttachCgroup(link.CgroupOptions{Path: cgroup, Attach: h.attach, Program: loaded.Programs[h.program]})
		if err != nil {
			return nil, fmt.Errorf("attach %s: %w", h.program, err)
		}
		if err := pinLink(l, pins, h.program); err != nil {
			return nil, err
		}
	}
	shared := &sharedMaps{
		Policies: loaded.DetachMap(cgroupMapPolicies), Traced: loaded.DetachMap(cgroupMapTraced),
		Counters: loaded.DetachMap(cgroupMapCounters), Events: loaded.DetachMap(cgroupMapEvents),
	}
	if err := pinMaps(shared.byName(), pins); err != nil {
		shared.close()
		return nil, err
	}
	return shared, nil
}

// linkPrefix begins the name of a pinned link.
const linkPrefix = "link-"

// pinLink leaves the link to its pin.
func pinLink(l link.Link, pins, program string) error {
	err := l.Pin(filepath.Join(pins, linkPrefix+program))
	if err := errors.Join(err, l.Close()); err != nil {
		return fmt.Errorf("pin %s: %w", program, err)
	}
	return nil
}

func pinMaps(maps map[string]*ebpf.Map, pins string) error {
	for name, m := range maps {
		if err := m.Pin(filepath.Join(pins, name)); err != nil {
			return fmt.Errorf("pin %s: %w", name, err)
		}
	}
	return nil
}

// Attached counts the links that are pinned, of all that a full fence has.
func Attached(pins string, lsm bool) (have, want int) {
	names := []string{}
	for _, h := range cgroupHooks {
		names = append(names, h.program)
	}
	if lsm {
		names = append(names, lsmPinned(pins)...)
	}
	for _, name := range names {
		if _, err := os.Stat(filepath.Join(pins, linkPrefix+name)); err == nil {
			have++
		}
	}
	return have, len(names)
}
