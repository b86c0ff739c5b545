package unpack

import (
	"errors"
	"fmt"
)

// ErrHostile is wrapped by errors about streams that break a rule no honest
// image breaks: a path out of the root, a forged whiteout, a bomb.
var ErrHostile = errors.New("layer is not safe to unpack")

// Bounds that do not depend on the machine.
const (
	maxPath      = 4096 - 1 // bytes, PATH_MAX without its NUL
	maxComponent = 255      // bytes, NAME_MAX
	maxDepth     = 512      // components; real images stay below 40
	maxLinkHops  = 40       // as the kernel's MAXSYMLINKS
	maxID        = 1<<32 - 2
)

// Limits bounds what one layer may become. The zero value allows nothing.
type Limits struct {
	Bytes   int64 // of file contents, holes counted in full
	Entries int64 // of the tar stream
	// Reserve is how many bytes must stay free on the disk.
	Reserve int64
}

// DefaultLimits is far above every image that people run, and far below what
// fills a disk unnoticed.
var DefaultLimits = Limits{Bytes: 64 << 30, Entries: 2_000_000, Reserve: 512 << 20}

// hostile makes an error about the entry name.
func hostile(name, format string, args ...any) error {
	return fmt.Errorf("entry %.200q: %s: %w", name, fmt.Sprintf(format, args...), ErrHostile)
}

// budget is what is left of Limits while a layer is unpacked.
type budget struct {
	limits  Limits
	bytes   int64
	entries int64
}

func (b *budget) entry(name string, size int64) error {
	b.entries++
	if b.entries > b.limits.Entries {
		return hostile(name, "more than %d entries", b.limits.Entries)
	}
	if size < 0 || size > b.limits.Bytes-b.bytes {
		return hostile(name, "the layer is larger than %d bytes", b.limits.Bytes)
	}
	b.bytes += size
	return nil
}
