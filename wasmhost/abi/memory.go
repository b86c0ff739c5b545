package abi

import (
	"encoding/binary"

	"github.com/tetratelabs/wazero/api"
)

// fault is thrown by Memory and caught by Export's wrapper alone.
type fault struct{}

// Memory is the guest's memory during one call. Slices it returns are the
// guest's own bytes and are valid until the call returns. Its methods must run
// on the goroutine of the call: a pointer outside the memory ends the call
// there with EFAULT.
type Memory struct{ mem api.Memory }

// Bytes returns n bytes at ptr.
func (m Memory) Bytes(ptr, n uint32) []byte {
	if m.mem == nil {
		panic(fault{})
	}
	b, ok := m.mem.Read(ptr, n)
	if !ok {
		panic(fault{})
	}
	return b
}

// String copies n bytes at ptr.
func (m Memory) String(ptr, n uint32) string { return string(m.Bytes(ptr, n)) }

// Uint32 reads at ptr.
func (m Memory) Uint32(ptr uint32) uint32 {
	if m.mem != nil {
		if v, ok := m.mem.ReadUint32Le(ptr); ok {
			return v
		}
	}
	panic(fault{})
}

// PutUint32 writes at ptr.
func (m Memory) PutUint32(ptr, v uint32) {
	if m.mem == nil || !m.mem.WriteUint32Le(ptr, v) {
		panic(fault{})
	}
}

// PutUint64 writes at ptr.
func (m Memory) PutUint64(ptr uint32, v uint64) {
	if m.mem == nil || !m.mem.WriteUint64Le(ptr, v) {
		panic(fault{})
	}
}

// Vectors returns the buffers of n iovec structures at ptr.
func (m Memory) Vectors(ptr, n uint32) [][]byte {
	const size = 8 // of one iovec
	if n > MaxVectors {
		panic(fault{})
	}
	table := m.Bytes(ptr, n*size)
	bufs := make([][]byte, n)
	for i := range bufs {
		entry := table[i*size:]
		bufs[i] = m.Bytes(binary.LittleEndian.Uint32(entry), binary.LittleEndian.Uint32(entry[4:]))
	}
	return bufs
}

// MaxVectors bounds the buffers of one read or write, as IOV_MAX does on Linux.
const MaxVectors = 1024
