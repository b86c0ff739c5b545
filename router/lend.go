package router

import "sync"

// Sizes of one read, in bytes. Most flows say little at a time. A large read is
// of whole segments: what is left over would cross as a packet of its own, which
// costs nearly as much as a full one.
const (
	spliceBuffer = 2 * segmentData
	smallBuffer  = 4 << 10
)

var (
	spliceBuffers = sync.Pool{New: func() any { return new([spliceBuffer]byte) }}
	smallBuffers  = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
)

// lent is a buffer that a reader has only while there is something to read: ten
// thousand idle flows must not hold a buffer each.
type lent struct {
	large *[spliceBuffer]byte
	small *[smallBuffer]byte
}

// take returns a buffer, a large one when want bytes do not fit a small one.
// What is in a small one stays there when a large one is taken.
func (l *lent) take(want int) []byte {
	switch {
	case l.large != nil:
	case want > smallBuffer:
		l.large = spliceBuffers.Get().(*[spliceBuffer]byte)
	default:
		if l.small == nil {
			l.small = smallBuffers.Get().(*[smallBuffer]byte)
		}
		return l.small[:]
	}
	return l.large[:]
}

func (l *lent) giveBack() {
	if l.large != nil {
		spliceBuffers.Put(l.large)
	}
	if l.small != nil {
		smallBuffers.Put(l.small)
	}
	*l = lent{}
}
