package wasmbin

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// Limits of what is read, chosen near those that browsers share.
const (
	MaxName = 1 << 16 // bytes of an import or export name
)

var errShort = errors.New("ends too early")

// Reader reads from a byte slice. After a fault every method returns zero and
// Err returns the first fault.
type Reader struct {
	buf []byte
	pos int
	err error

	functions uint32 // how many there must be for what was read
}

// NewReader reads buf.
func NewReader(buf []byte) *Reader { return &Reader{buf: buf} }

// Err is the first fault.
func (r *Reader) Err() error { return r.err }

// Pos is the offset of the next byte.
func (r *Reader) Pos() int { return r.pos }

// Left is the number of unread bytes; zero after a fault.
func (r *Reader) Left() int {
	if r.err != nil {
		return 0
	}
	return len(r.buf) - r.pos
}

// Fail records a fault, unless there is one already.
func (r *Reader) Fail(format string, args ...any) {
	if r.err == nil {
		r.err = fmt.Errorf("offset %d: %w", r.pos, fmt.Errorf(format, args...))
	}
}

// Byte reads one byte.
func (r *Reader) Byte() byte {
	if r.Left() == 0 {
		r.Fail("%w", errShort)
		return 0
	}
	b := r.buf[r.pos]
	r.pos++
	return b
}

// Bytes reads n bytes without copying them.
func (r *Reader) Bytes(n int) []byte {
	if n < 0 || n > r.Left() {
		r.Fail("%w", errShort)
		return nil
	}
	b := r.buf[r.pos : r.pos+n]
	r.pos += n
	return b
}

// Since returns the bytes from offset start up to here.
func (r *Reader) Since(start int) []byte { return r.buf[start:r.pos] }

// U32 reads an unsigned LEB128 number of at most 32 bits.
func (r *Reader) U32() uint32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		b := r.Byte()
		if shift == 28 && b > 0x0f {
			break
		}
		v |= uint32(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.Fail("number is longer than 32 bits")
	return 0
}

// Func reads the index of a function.
func (r *Reader) Func() uint32 {
	i := r.U32()
	if i >= r.functions {
		r.functions = i + min(1, ^i) // no number is above the largest
	}
	return i
}

// Functions is how many functions there must be for every index that was read
// to exist.
func (r *Reader) Functions() uint32 { return r.functions }

// Signed reads a signed LEB128 number of at most bits bits. The sign bits of a
// last byte that is not full are left to the engine.
func (r *Reader) Signed(bits int) int64 {
	var v int64
	for shift := 0; shift < bits; shift += 7 {
		b := r.Byte()
		v |= int64(b&0x7f) << shift
		if b < 0x80 {
			if shift += 7; b&0x40 != 0 && shift < 64 {
				v |= -1 << shift
			}
			return v
		}
	}
	r.Fail("number is longer than %d bits", bits)
	return 0
}

// Count reads the length of a vector whose items take at least one byte each.
func (r *Reader) Count(what string, limit int) int {
	n := r.U32()
	if uint64(n) > uint64(limit) {
		r.Fail("%d %s, more than %d", n, what, limit)
		return 0
	}
	if int(n) > r.Left() {
		r.Fail("%d %s: %w", n, what, errShort)
		return 0
	}
	return int(n)
}

// Name reads a UTF-8 string.
func (r *Reader) Name() string {
	n := r.Count("bytes in a name", MaxName)
	b := r.Bytes(n)
	if !utf8.Valid(b) {
		r.Fail("name is not UTF-8")
		return ""
	}
	return string(b)
}

// End records a fault if bytes are left.
func (r *Reader) End() {
	if n := r.Left(); n > 0 {
		r.Fail("%d bytes left over", n)
	}
}

// AppendU32 appends v as unsigned LEB128.
func AppendU32(b []byte, v uint32) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
