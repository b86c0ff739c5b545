package router

import "sync"

// spliceBuffer is the size of one read, in bytes.
const spliceBuffer = 128 << 10

var spliceBuffers = sync.Pool{New: func() any { return new([spliceBuffer]byte) }}

// lent is a buffer that a reader has only while there is something to read: ten
// thousand idle flows must not hold a buffer each.
type lent struct{ buf *[spliceBuffer]byte }

func (l *lent) take() []byte {
	if l.buf == nil {
		l.buf = spliceBuffers.Get().(*[spliceBuffer]byte)
	}
	return l.buf[:]
}

func (l *lent) giveBack() {
	if l.buf != nil {
		spliceBuffers.Put(l.buf)
		l.buf = nil
	}
}
