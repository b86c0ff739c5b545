package bpf

import (
	"errors"
	"fmt"
	"os"

	"github.com/cilium/ebpf"
)

// Rights of a mount.
type Rights uint32

// What may be done below a mount.
const (
	Read Rights = 1 << iota
	Write
	Exec
)

// Noted is no right: that a file of the mount was mapped is kept, for Mapped.
const Noted Rights = 8

// Mount is one mount of a sandbox.
type Mount struct {
	ID     uint64 // never used again where the kernel has such ids (6.8), else that of mountinfo
	Device uint32 // of the file system, as the kernel numbers devices: major<<20 | minor
	Rights Rights
}

// Sandbox is what the programs must know of a sandbox to judge it.
type Sandbox struct {
	NetNS  uint32 // inode number of its network namespace
	Cookie uint64 // of the same
	// Pinned: only files that did not change since then are run, in nanoseconds
	// since 1970; 0 is any.
	Pinned uint64
	Mounts []Mount
}

// policy is struct policy of c/policy.h.
type policy struct {
	Mode, NetNS uint32
	Cookie      uint64
	Pinned      uint64
}

const (
	modeBuilding = 1
	modeSealed   = 2
)

// place is struct place of c/lsm.bpf.c.
type place struct{ Cgroup, ID uint64 }

// Rules are the maps that the programs judge by.
type Rules struct {
	*Maps
}

// OpenRules opens the pinned maps of a Fence.
func OpenRules(pins string) (*Rules, error) {
	m, err := OpenMaps(pins)
	if err != nil {
		return nil, err
	}
	return &Rules{m}, nil
}

// RulesOf takes over descriptors that RuleFiles has given in another process.
func RulesOf(files []*os.File) (*Rules, error) {
	m, err := takeMaps(files, true)
	if err != nil {
		return nil, err
	}
	return &Rules{m}, nil
}

// Build lets our own init in cgroup do what a sandbox is built with. Nothing of
// the app may run yet.
func (r *Rules) Build(cgroup uint64) error {
	if err := r.policies.Put(cgroup, policy{Mode: modeBuilding}); err != nil {
		return fmt.Errorf("let the sandbox be built: %w", err)
	}
	return nil
}

// Seal ends the building: from here on the programs judge. The rights are there
// before the policy that needs them.
func (r *Rules) Seal(cgroup uint64, s Sandbox) error {
	if s.NetNS == 0 || s.Cookie == 0 {
		return errors.New("seal the sandbox: its network namespace is not known")
	}
	for _, m := range s.Mounts {
		if err := r.Grant(cgroup, m); err != nil {
			return err
		}
	}
	if err := r.policies.Put(cgroup, s.policy()); err != nil {
		return fmt.Errorf("seal the sandbox: %w", err)
	}
	return nil
}

func (s Sandbox) policy() policy {
	return policy{Mode: modeSealed, NetNS: s.NetNS, Cookie: s.Cookie, Pinned: s.Pinned}
}

// Grant allows what m says below a mount, and on its file system by the hooks
// that are told no mount.
func (r *Rules) Grant(cgroup uint64, m Mount) error {
	if !r.LSM() {
		return nil
	}
	at := place{cgroup, uint64(m.Device)}
	var had Rights
	if err := r.filesystems.Lookup(at, &had); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return fmt.Errorf("rights of a file system: %w", err)
	}
	err := errors.Join(r.filesystems.Put(at, had|m.Rights), r.mounts.Put(place{cgroup, m.ID}, m.Rights))
	if err != nil {
		return fmt.Errorf("rights of a mount: %w", err)
	}
	return nil
}

// Revoke takes a mount back: files that are open below it can neither be read
// nor written any more. rest are the mounts that the sandbox keeps.
func (r *Rules) Revoke(cgroup uint64, m Mount, rest []Mount) error {
	if !r.LSM() {
		return nil
	}
	var left Rights
	for _, other := range rest {
		if other.Device == m.Device {
			left |= other.Rights
		}
	}
	err := errors.Join(remove(r.mounts, place{cgroup, m.ID}), r.filesystems.Put(place{cgroup, uint64(m.Device)}, left))
	if err != nil {
		return fmt.Errorf("take a mount back: %w", err)
	}
	return nil
}

// Mapped says whether a sandbox has mapped a file below a mount, granted as Noted,
// at some time, and forgets it. Where no call of the sandbox is under way, as
// when it is frozen, after the mount was revoked the answer is final.
func (r *Rules) Mapped(cgroup, mount uint64) (bool, error) {
	err := r.mapped.Delete(place{cgroup, mount})
	if errors.Is(err, ebpf.ErrKeyNotExist) {
		return false, nil
	}
	if err != nil {
		return true, fmt.Errorf("who maps files of a mount: %w", err)
	}
	return true, nil
}

// Standing says whether the programs judge cgroup as s asks.
func (r *Rules) Standing(cgroup uint64, s Sandbox) error {
	var got policy
	if err := r.policies.Lookup(cgroup, &got); err != nil {
		return fmt.Errorf("the sandbox has no policy: %w", err)
	}
	if got != s.policy() {
		return fmt.Errorf("the sandbox's policy is %+v, want %+v", got, s.policy())
	}
	if !r.LSM() {
		return nil
	}
	for _, m := range s.Mounts {
		var rights Rights
		err := r.mounts.Lookup(place{cgroup, m.ID}, &rights)
		if err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) || rights&^m.Rights != 0 {
			return fmt.Errorf("mount %d has the rights %b, want %b: %w", m.ID, rights, m.Rights, err)
		}
	}
	return nil
}

// Forget takes everything of a sandbox out: what still runs in it is denied all.
func (r *Rules) Forget(cgroup uint64, s Sandbox) error {
	errs := remove(r.policies, cgroup)
	for _, m := range s.Mounts {
		if r.LSM() {
			errs = errors.Join(errs, remove(r.mounts, place{cgroup, m.ID}), remove(r.mapped, place{cgroup, m.ID}),
				remove(r.filesystems, place{cgroup, uint64(m.Device)}))
		}
	}
	if errs != nil {
		return fmt.Errorf("forget the sandbox: %w", errs)
	}
	return nil
}

func remove(m *ebpf.Map, key any) error {
	if err := m.Delete(key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}
