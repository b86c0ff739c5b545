package hcs

import (
	"fmt"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
)

// maxDisks is what one controller takes.
const maxDisks = 64

// planOf is the machine for c, or why it cannot be made.
func planOf(c vmhost.Config, dir, user string) (p plan, err error) {
	spec := c.Spec
	switch {
	case spec.Image == nil:
		return p, fmt.Errorf("%w: a machine runs an image", sandbox.ErrInvalid)
	case len(spec.Mounts) > 0:
		return p, fmt.Errorf("%w: folders and volumes in a machine of Hyper-V: use WSL, which has volumes: --isolation native", sandbox.ErrNotSupported)
	case spec.Image.Upper != "":
		return p, fmt.Errorf("%w: what an app writes is kept in memory only in a machine of Hyper-V: use --ephemeral, or WSL: --isolation native", sandbox.ErrNotSupported)
	case len(spec.Image.Lower) > maxDisks:
		return p, fmt.Errorf("%w: %d layers, a machine of Hyper-V has at most %d disks", sandbox.ErrNotSupported, len(spec.Image.Lower), maxDisks)
	}
	p = plan{kernel: c.Kernel, initramfs: c.Initramfs, memory: c.Memory, cpus: c.CPUs, user: user}
	for _, layer := range spec.Image.Lower {
		path, err := disk(dir, layer)
		if err != nil {
			return p, err
		}
		p.disks = append(p.disks, path)
	}
	return p, nil
}
