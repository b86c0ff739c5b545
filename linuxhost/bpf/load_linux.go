package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
)

// loader loads by the rights of this process.
type loader struct {
	cgroup *os.File
	pins   string
	ofUser bool
}

// NewLoader loads by the rights of this process, for the sandboxes below cgroup,
// a directory of the cgroup2 tree. With ofUser the programs leave alone what runs
// in the machine's own user namespace: see c/judge.h.
func NewLoader(cgroup *os.File, pins string, ofUser bool) Loader {
	return &loader{cgroup, pins, ofUser}
}

func (l *loader) Lower(context.Context) error { return Lower(l.pins) }

// cgroupHooks are where the programs of the second line are attached.
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

// Cgroup attaches every program of the second line, or none.
func (l *loader) Cgroup(context.Context) (*Maps, error) {
	maps, err := l.cgroupLine()
	if err != nil {
		return nil, errors.Join(notSupported(err), Lower(l.pins))
	}
	return maps, nil
}

func (l *loader) cgroupLine() (_ *Maps, err error) {
	if err := makePins(l.pins); err != nil {
		return nil, err
	}
	spec, err := l.cgroupSpec()
	if err != nil {
		return nil, err
	}
	loaded, err := ebpf.NewCollection(spec)
	if err != nil {
		return nil, fmt.Errorf("load: %w", err)
	}
	defer loaded.Close()
	for _, h := range cgroupHooks {
		attached, err := link.AttachRawLink(link.RawLinkOptions{
			Target: int(l.cgroup.Fd()), Attach: h.attach, Program: loaded.Programs[h.program],
		})
		if err != nil {
			return nil, fmt.Errorf("attach %s: %w", h.program, err)
		}
		if err := pinLink(attached, l.pins, h.program); err != nil {
			return nil, err
		}
	}
	maps := &Maps{
		policies: loaded.DetachMap(cgroupMapPolicies), traced: loaded.DetachMap(cgroupMapTraced),
		counters: loaded.DetachMap(cgroupMapCounters), events: loaded.DetachMap(cgroupMapEvents),
	}
	if err := maps.pin(l.pins); err != nil {
		return nil, errors.Join(err, maps.Close())
	}
	return maps, nil
}

func (l *loader) cgroupSpec() (*ebpf.CollectionSpec, error) {
	if l.ofUser {
		return loadCgroupOfUser()
	}
	return loadCgroup()
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

// Abandoned says that the cgroup of a fence has been removed: nothing can run
// there any more.
func Abandoned(pins string) (bool, error) {
	held, err := link.LoadPinnedLink(filepath.Join(pins, linkPrefix+cgroupHooks[0].program), nil)
	if isNotExist(err) {
		return true, nil // it was being raised, or lowered
	}
	if err != nil {
		return false, fmt.Errorf("fence %s: %w", filepath.Base(pins), err)
	}
	defer held.Close()
	info, err := held.Info()
	if err != nil {
		return false, fmt.Errorf("fence %s: %w", filepath.Base(pins), err)
	}
	at := info.Cgroup()
	return at != nil && at.CgroupId == 0, nil
}
