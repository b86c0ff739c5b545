package bpf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

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
	Maps *Maps
	Pins string // directory of the pinned maps and links; "" where somebody else holds them
	// LSM is nil when LSM programs stand; else it says why not, and what to do.
	LSM error
}

// Loader loads, attaches and pins the programs of one fence: here, or in a
// process that may.
type Loader interface {
	// Cgroup loads the second line. What an earlier fence of the same place has
	// pinned is taken down first.
	Cgroup(ctx context.Context) (*Maps, error)
	// LSM loads the first line, and adds its maps. An error leaves the second.
	LSM(ctx context.Context, maps *Maps) error
	// Lower takes all of it away.
	Lower(ctx context.Context) error
}

// PinsOf is the directory of a fence's pins.
func PinsOf(name string) string { return filepath.Join(pinRoot, "consentry", name) }

// Raise raises a fence above cfg.Cgroup by the rights of this process.
func Raise(ctx context.Context, cfg Config) (*Fence, error) {
	if err := MountPinRoot(); err != nil {
		return nil, notSupported(err)
	}
	cgroup, err := os.Open(cfg.Cgroup)
	if err != nil {
		return nil, notSupported(err)
	}
	defer cgroup.Close()
	pins := PinsOf(cfg.Name)
	f, err := RaiseBy(ctx, cfg, NewLoader(cgroup, pins, false))
	if err != nil {
		return nil, err
	}
	f.Pins = pins
	return f, nil
}

// RaiseBy has the programs loaded and proves that they deny. An error means that
// not even the cgroup programs stand, and then nothing is left behind.
func RaiseBy(ctx context.Context, cfg Config, by Loader) (_ *Fence, err error) {
	f := &Fence{}
	defer func() {
		if err != nil && f.Maps != nil {
			err = errors.Join(err, f.Maps.Close())
		}
		if err != nil {
			err = errors.Join(err, by.Lower(context.WithoutCancel(ctx)))
		}
	}()
	p, err := f.secondLine(ctx, cfg, by)
	if err != nil {
		return nil, err
	}
	defer p.close()
	if f.LSM = by.LSM(ctx, f.Maps); f.LSM != nil {
		return f, nil
	}
	lied := p.lsm(ctx)
	if lied == nil {
		return f, nil
	}
	// Half a wall is none, and costs every call: begin again without it.
	if err := errors.Join(f.Maps.Close(), by.Lower(ctx)); err != nil {
		return nil, err
	}
	f.LSM = noLSM("LSM programs do not stand", "report this with the kernel's version", lied)
	_, err = f.secondLine(ctx, cfg, by)
	return f, err
}

// secondLine loads the cgroup programs and proves them, before LSM programs
// hide what they do.
func (f *Fence) secondLine(ctx context.Context, cfg Config, by Loader) (p *prover, err error) {
	if f.Maps, err = by.Cgroup(ctx); err != nil {
		return nil, err
	}
	if p, err = newProver(cfg, f.Maps.policies); err != nil {
		return nil, err
	}
	if err := p.cgroup(ctx); err != nil {
		p.close()
		return nil, notSupported(err)
	}
	return p, nil
}

func notSupported(err error) error {
	return fmt.Errorf("%w: eBPF cgroup programs: %w; needs root (or CAP_BPF, CAP_PERFMON and CAP_NET_ADMIN), CONFIG_CGROUP_BPF and a cgroup2 tree",
		sandbox.ErrNotSupported, err)
}
