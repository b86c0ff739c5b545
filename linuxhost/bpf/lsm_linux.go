package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// laterHooks are hooks that some kernels have not got yet, and what judges the
// same calls there.
var laterHooks = map[string]string{
	lsmProgFileTruncate:    "6.2; before it path_truncate judges ftruncate",
	lsmProgInodeSetAcl:     "6.2; before it inode_setxattr judges ACLs",
	lsmProgInodeRemoveAcl:  "6.2; before it inode_removexattr judges ACLs",
	lsmProgFileIoctlCompat: "6.8; 32-bit calls never pass seccomp",
}

// hookOf is the hook that a program is for, where the names differ.
var hookOf = map[string]string{lsmProgBprmCheck: "bprm_check_security"}

const lsmListFile = "/sys/kernel/security/lsm"

// LSM loads, attaches and pins the first line.
func (l *loader) LSM(_ context.Context, maps *Maps) error {
	if err := activeLSM(); err != nil {
		return err
	}
	spec, err := lsmSpec(l.ofUser)
	if err != nil {
		return err
	}
	loaded, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: map[string]*ebpf.Map{
		cgroupMapPolicies: maps.policies, cgroupMapTraced: maps.traced, cgroupMapCounters: maps.counters, cgroupMapEvents: maps.events,
	}})
	if errors.Is(err, unix.EPERM) {
		err = unix.EPERM // which program it was does not matter
	}
	if err != nil {
		return noLSM("the kernel does not load LSM programs", "run a kernel that allows them (CONFIG_BPF_LSM, Linux 6.1 or newer, not locked down)", err)
	}
	defer loaded.Close()
	//nolint:gosec // a descriptor
	if err := loaded.Maps[lsmMapTop].Put(uint32(0), uint32(l.cgroup.Fd())); err != nil {
		return fmt.Errorf("the cgroup above all: %w", err)
	}
	attached, err := attachLSM(loaded, l.pins)
	maps.mounts, maps.filesystems, maps.mapped = loaded.DetachMap(lsmMapMounts), loaded.DetachMap(lsmMapFilesystems), loaded.DetachMap(lsmMapMapped)
	if err == nil {
		err = maps.pinLSM(l.pins)
	}
	if err != nil { // half a wall is none, and costs every call
		for _, name := range attached {
			err = errors.Join(err, os.Remove(filepath.Join(l.pins, linkPrefix+name)))
		}
		return noLSM("LSM programs do not stand", "report this with the kernel's version", errors.Join(err, maps.forgetLSM(l.pins)))
	}
	return nil
}

func noLSM(what, remedy string, err error) error {
	return fmt.Errorf("%w: eBPF LSM: %s: %w; %s", sandbox.ErrNotSupported, what, err, remedy)
}

// activeLSM reads the list of active modules, where it can be read. Without bpf
// in it programs load and attach, and nothing is ever denied.
func activeLSM() error {
	raw, err := os.ReadFile(lsmListFile)
	if err != nil {
		return nil //nolint:nilerr // securityfs may not be mounted: the proof decides
	}
	list := strings.TrimSpace(string(raw))
	for name := range strings.SplitSeq(list, ",") {
		if name == "bpf" {
			return nil
		}
	}
	return noLSM("it is not among the active security modules", "add it to the kernel's command line: lsm="+list+",bpf", errors.New(list))
}

// lsmSpec is the committed object, fitted to the running kernel.
func lsmSpec(ofUser bool) (*ebpf.CollectionSpec, error) {
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return nil, noLSM("the kernel does not describe its types", "a kernel with CONFIG_DEBUG_INFO_BTF is needed", err)
	}
	spec, err := loadLsm()
	if err != nil {
		return nil, err
	}
	for name := range spec.Programs {
		var hook *btf.Func
		err := kernel.TypeByName("bpf_lsm_"+hookName(name), &hook)
		if err == nil {
			continue
		}
		if laterHooks[name] == "" {
			return nil, noLSM("the kernel has no hook "+hookName(name), "Linux 6.1 or newer with CONFIG_BPF_LSM and CONFIG_SECURITY_PATH is needed", err)
		}
		delete(spec.Programs, name)
	}
	at, err := setattrDentry(kernel)
	if err != nil {
		return nil, err
	}
	user := uint32(0)
	if ofUser {
		user = 1
	}
	return spec, errors.Join(spec.Variables[lsmVarSetattrDentry].Set(at), spec.Variables[lsmVarOfUser].Set(user))
}

func hookName(program string) string {
	if hook := hookOf[program]; hook != "" {
		return hook
	}
	return program
}

// setattrDentry is which argument of inode_setattr is the dentry: the second,
// since the first says how the mount maps ids (6.6).
func setattrDentry(kernel *btf.Spec) (uint32, error) {
	var hook *btf.Func
	if err := kernel.TypeByName("bpf_lsm_inode_setattr", &hook); err != nil {
		return 0, err
	}
	proto, ok := hook.Type.(*btf.FuncProto)
	if !ok || len(proto.Params) < 2 {
		return 0, errors.New("hook inode_setattr has no arguments")
	}
	for i, p := range proto.Params[:2] {
		if ptr, ok := btf.UnderlyingType(p.Type).(*btf.Pointer); ok && ptr.Target.TypeName() == "dentry" {
			return uint32(i), nil //nolint:gosec // 0 or 1
		}
	}
	return 0, errors.New("hook inode_setattr is told no dentry")
}

// attachLSM attaches and pins, and says how far it came.
func attachLSM(loaded *ebpf.Collection, pins string) (attached []string, err error) {
	for name, program := range loaded.Programs {
		l, err := link.AttachLSM(link.LSMOptions{Program: program})
		if err != nil {
			return attached, fmt.Errorf("attach %s: %w", name, err)
		}
		if err := pinLink(l, pins, lsmPrefix+name); err != nil {
			return attached, err
		}
		attached = append(attached, lsmPrefix+name)
	}
	return attached, nil
}

// lsmPrefix keeps names of the two sets apart: both have a connect.
const lsmPrefix = "lsm-"

// lsmPinned are the links of the first line that a kernel like this has.
func lsmPinned(pins string) []string {
	spec, err := loadLsm()
	if err != nil {
		return []string{lsmPrefix}
	}
	var names []string
	for name := range spec.Programs {
		_, err := os.Stat(filepath.Join(pins, linkPrefix+lsmPrefix+name))
		if laterHooks[name] == "" || err == nil {
			names = append(names, lsmPrefix+name)
		}
	}
	return names
}
