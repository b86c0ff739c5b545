package extism

import (
	"encoding/binary"
	"errors"
	"math/bits"
)

// Bounds of the memory that host and plugin share.
const (
	firstBlock = 16 // offset 0 is no block
	minClass   = 4  // blocks are of at least 2^4 bytes
	maxClass   = 28 // … and of at most 2^28
	maxBlocks  = 1 << 20
)

var errBounds = errors.New("offset is outside of the shared memory")

// memory is handed out in blocks of powers of two. A plugin works with offsets,
// which are 64 bits wide.
type memory struct {
	limit  int
	bytes  []byte
	blocks map[uint64]block
	free   [maxClass + 1][]uint64 // blocks of each class that were given back
}

type block struct {
	length uint64
	class  int
}

func newMemory(limit int) *memory {
	return &memory{limit: limit, bytes: make([]byte, firstBlock), blocks: map[uint64]block{}}
}

// alloc returns 0 if there is no room.
func (m *memory) alloc(n uint64) uint64 {
	if n == 0 || n > 1<<maxClass || len(m.blocks) >= maxBlocks {
		return 0
	}
	class := max(minClass, bits.Len64(n-1))
	offset := uint64(len(m.bytes))
	if list := m.free[class]; len(list) > 0 {
		offset = list[len(list)-1]
		m.free[class] = list[:len(list)-1]
		clear(m.bytes[offset : offset+1<<class])
	} else {
		if len(m.bytes)+1<<class > m.limit {
			return 0
		}
		m.bytes = append(m.bytes, make([]byte, 1<<class)...)
	}
	m.blocks[offset] = block{length: n, class: class}
	return offset
}

func (m *memory) release(offset uint64) {
	if b, known := m.blocks[offset]; known {
		delete(m.blocks, offset)
		m.free[b.class] = append(m.free[b.class], offset)
	}
}

// length is 0 for what is no block.
func (m *memory) length(offset uint64) uint64 { return m.blocks[offset].length }

// slice is the memory's own bytes, valid until the next alloc.
func (m *memory) slice(offset, n uint64) ([]byte, error) {
	size := uint64(len(m.bytes))
	if offset > size || n > size-offset {
		return nil, errBounds
	}
	return m.bytes[offset : offset+n], nil
}

// take copies a block out and frees it.
func (m *memory) take(offset uint64) []byte {
	b, err := m.slice(offset, m.length(offset))
	if err != nil {
		return nil
	}
	out := append([]byte{}, b...)
	m.release(offset)
	return out
}

// put makes a block of content; 0 if there is no room, or no content.
func (m *memory) put(content []byte) uint64 {
	offset := m.alloc(uint64(len(content)))
	if offset != 0 {
		copy(m.bytes[offset:], content)
	}
	return offset
}

func (m *memory) load64(offset uint64) (uint64, error) {
	b, err := m.slice(offset, 8)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint64(b), nil
}

func (m *memory) store64(offset, v uint64) error {
	b, err := m.slice(offset, 8)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(b, v)
	return nil
}

func (m *memory) reset() {
	m.bytes = append(m.bytes[:0], make([]byte, firstBlock)...)
	m.blocks = map[uint64]block{}
	m.free = [maxClass + 1][]uint64{}
}
