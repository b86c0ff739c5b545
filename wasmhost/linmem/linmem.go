// Package linmem gives wasm memories room to grow in place: the address space
// up to the maximum is reserved at once and becomes usable as the memory
// grows, so that growing copies nothing and an unused maximum costs nothing.
//
// It promises that no more than the maximum given to Allocate becomes usable.
package linmem

import (
	"github.com/tetratelabs/wazero/experimental"
)

// Allocator returns the allocator for wazero's experimental.WithMemoryAllocator.
func Allocator() experimental.MemoryAllocator {
	return experimental.MemoryAllocatorFunc(func(_, limit uint64) experimental.LinearMemory {
		return &memory{limit: limit}
	})
}

// memory is one linear memory. The address space is taken at the first
// Reallocate, which is where wazero can be told that there is none.
type memory struct {
	limit    uint64
	reserved []byte
	usable   uint64
}

// Reallocate makes size bytes usable; nil means that the memory cannot grow.
func (m *memory) Reallocate(size uint64) []byte {
	if size > m.limit {
		return nil
	}
	if m.reserved == nil && m.limit > 0 {
		space, err := reserve(m.limit)
		if err != nil {
			return nil
		}
		m.reserved = space
	}
	if size > m.usable {
		if err := commit(m.reserved, m.usable, size); err != nil {
			return nil
		}
		m.usable = size
	}
	return m.reserved[:size:size]
}

// Free gives the address space back.
func (m *memory) Free() {
	if m.reserved != nil {
		release(m.reserved)
		m.reserved, m.usable, m.limit = nil, 0, 0
	}
}
