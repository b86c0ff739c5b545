package inflate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Errors wrap ErrCorrupt, or are io.ErrUnexpectedEOF, or the source's own.
var (
	ErrCorrupt  = errors.New("gzip stream is corrupt")
	errHeader   = fmt.Errorf("%w: header", ErrCorrupt)
	errBlock    = fmt.Errorf("%w: block", ErrCorrupt)
	errCode     = fmt.Errorf("%w: code", ErrCorrupt)
	errDistance = fmt.Errorf("%w: distance before the beginning", ErrCorrupt)
	errChecksum = fmt.Errorf("%w: checksum", ErrCorrupt)
)

const (
	inSize  = 64 << 10
	outSize = window + 256<<10
)

// state is what comes next in the stream.
type state int

const (
	atMember  state = iota // a gzip header, or the end
	atBlock                // a block's header
	inStored               // bytes of a stored block
	inSymbols              // symbols of a compressed block
	atTrailer              // checksum and size of the member
)

// Reader inflates a gzip stream.
type Reader struct {
	r    io.Reader
	end  int   // of what is real in bits.in; zeros follow when eof is set
	eof  bool  // the source has ended
	fail error // of the source
	bits bitReader
	buf  []byte

	state  state
	final  bool // block of the member
	stored int  // bytes left
	any    bool // a member was there
	lit    [litTable]uint32
	dist   [distTable]uint32

	out   []byte
	at    int // where out is written
	given int // up to where it was read or summed
	floor int // where the member begins in out
	sum   uint32
	size  uint32
	err   error
}

// NewReader returns a Reader of r, which it may read ahead of the stream's end.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: r, buf: make([]byte, inSize+inSlack), out: make([]byte, outSize)}
}

// Read hands out what is inflated, and inflates more when there is none.
func (d *Reader) Read(p []byte) (int, error) {
	for d.given == d.at && d.err == nil {
		d.slide()
		d.err = d.advance()
	}
	n := copy(p, d.out[d.given:d.at])
	d.given += n
	if d.given < d.at {
		return n, nil
	}
	return n, d.err
}

// slide makes room in out, keeping the window. All of out was read.
func (d *Reader) slide() {
	if d.at <= window {
		return
	}
	copy(d.out, d.out[d.at-window:d.at])
	d.floor = max(0, d.floor-(d.at-window))
	d.at, d.given = window, window
}

// advance goes on until out is full or the stream ends.
func (d *Reader) advance() error {
	from := d.at
	for len(d.out)-d.at > 2*outSlack {
		err := d.step(&from)
		if err != nil {
			d.count(&from)
			return err
		}
	}
	d.count(&from)
	return nil
}

// count sums what was written since from.
func (d *Reader) count(from *int) {
	d.sum = crc32.Update(d.sum, crc32.IEEETable, d.out[*from:d.at])
	d.size += uint32(d.at - *from)
	*from = d.at
}

func (d *Reader) step(from *int) error {
	switch d.state {
	case atMember:
		return d.member()
	case atBlock:
		return d.block()
	case inStored:
		return d.copyStored()
	case inSymbols:
		if err := d.need(inSlack); err != nil {
			return err
		}
		ended, err := d.symbols()
		if err == nil && ended {
			d.endBlock()
		}
		return errors.Join(err, d.real())
	default:
		d.count(from)
		return d.trailer()
	}
}

func (d *Reader) endBlock() {
	d.state = atBlock
	if d.final {
		d.state = atTrailer
	}
}

// need makes n bytes readable at bits.pos, zeros when the source has ended.
func (d *Reader) need(n int) error {
	b := &d.bits
	if len(b.in)-b.pos >= n {
		return nil
	}
	if d.eof { // even the zeros were read
		return d.short()
	}
	kept := min(b.pos, 8) // align may give them back
	left := copy(d.buf, b.in[b.pos-kept:d.end])
	b.pos = kept
	for left-kept < n && !d.eof {
		got, err := d.r.Read(d.buf[left:inSize])
		left += got
		if err != nil {
			d.eof = true
			if !errors.Is(err, io.EOF) {
				d.fail = err
			}
		}
	}
	d.end = left
	b.in = d.buf[:left]
	if d.eof {
		clear(d.buf[left : left+inSlack])
		b.in = d.buf[:left+inSlack]
	}
	return nil
}

// real fails when bits were used that are not of the source.
func (d *Reader) real() error {
	if d.eof && d.bits.pos*8-int(d.bits.have) > d.end*8 {
		return d.short()
	}
	return nil
}

// block reads a block's header.
func (d *Reader) block() error {
	if err := d.need(inSlack); err != nil {
		return err
	}
	d.bits.refill()
	d.final = d.bits.take(1) == 1
	switch d.bits.take(2) {
	case 0:
		d.bits.align()
		var head [4]byte
		if err := errors.Join(d.real(), d.bytes(head[:])); err != nil {
			return err
		}
		n := binary.LittleEndian.Uint16(head[:])
		if n != ^binary.LittleEndian.Uint16(head[2:]) {
			return errBlock
		}
		d.stored, d.state = int(n), inStored
	case 1:
		d.fixed()
		d.state = inSymbols
	case 2:
		if err := d.dynamic(); err != nil {
			return errors.Join(d.real(), err)
		}
		d.state = inSymbols
	default:
		return errors.Join(d.real(), errBlock)
	}
	return d.real()
}

// copyStored copies of a stored block what fits.
func (d *Reader) copyStored() error {
	for d.stored > 0 {
		room := len(d.out) - 2*outSlack - d.at
		if room <= 0 {
			return nil
		}
		if err := d.need(1); err != nil {
			return err
		}
		n := copy(d.out[d.at:d.at+min(room, d.stored)], d.bits.in[d.bits.pos:d.end])
		if n == 0 {
			return d.short()
		}
		d.at, d.stored, d.bits.pos = d.at+n, d.stored-n, d.bits.pos+n
	}
	d.endBlock()
	return nil
}

// short is the error of a source that ended too early.
func (d *Reader) short() error {
	if d.fail != nil {
		return d.fail
	}
	return io.ErrUnexpectedEOF
}

// bytes reads whole bytes; the bits are aligned.
func (d *Reader) bytes(p []byte) error {
	for len(p) > 0 {
		if err := d.need(1); err != nil {
			return d.short()
		}
		n := copy(p, d.bits.in[d.bits.pos:max(d.bits.pos, d.end)])
		if n == 0 {
			return d.short()
		}
		d.bits.pos += n
		p = p[n:]
	}
	return nil
}

// trailer checks the member against its checksum and size.
func (d *Reader) trailer() error {
	d.bits.align()
	var tail [8]byte
	if err := d.bytes(tail[:]); err != nil {
		return err
	}
	if binary.LittleEndian.Uint32(tail[:]) != d.sum || binary.LittleEndian.Uint32(tail[4:]) != d.size {
		return errChecksum
	}
	d.state = atMember
	return nil
}
