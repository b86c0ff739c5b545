package inflate

import (
	"encoding/binary"
	"hash/crc32"
	"io"
)

// Flags of a gzip header (RFC 1952, 2.3.1).
const (
	hasSum     = 1 << 1
	hasExtra   = 1 << 2
	hasName    = 1 << 3
	hasComment = 1 << 4
)

const maxText = 512 // bytes of a name or comment, as compress/gzip bounds them

// member reads a gzip header, or finds the end of the stream.
func (d *Reader) member() error {
	if d.any && d.atEnd() {
		if d.fail != nil {
			return d.fail
		}
		return io.EOF
	}
	h := header{from: d}
	var fixed [10]byte
	h.bytes(fixed[:])
	if h.err == nil && (fixed[0] != 0x1f || fixed[1] != 0x8b || fixed[2] != 8) {
		return errHeader
	}
	h.rest(fixed[3])
	if h.err != nil {
		return h.err
	}
	d.any, d.state, d.floor = true, atBlock, d.at
	d.sum, d.size = 0, 0
	return nil
}

// atEnd tells whether the source has no more bytes.
func (d *Reader) atEnd() bool { return d.need(1) != nil || d.bits.pos >= d.end }

// header reads the parts of a header, until the first error.
type header struct {
	from *Reader
	sum  uint32
	err  error
}

func (h *header) bytes(p []byte) {
	if h.err == nil {
		h.err = h.from.bytes(p)
		h.sum = crc32.Update(h.sum, crc32.IEEETable, p)
	}
}

func (h *header) rest(flags byte) {
	if flags&hasExtra != 0 {
		var n [2]byte
		h.bytes(n[:])
		h.bytes(make([]byte, binary.LittleEndian.Uint16(n[:])))
	}
	if flags&hasName != 0 {
		h.text()
	}
	if flags&hasComment != 0 {
		h.text()
	}
	if flags&hasSum == 0 {
		return
	}
	want := uint16(h.sum)
	var sum [2]byte
	h.bytes(sum[:])
	if h.err == nil && binary.LittleEndian.Uint16(sum[:]) != want {
		h.err = errHeader
	}
}

// text skips a text that ends with NUL.
func (h *header) text() {
	var c [1]byte
	for range maxText {
		h.bytes(c[:])
		if h.err != nil || c[0] == 0 {
			return
		}
	}
	h.err = errHeader
}
