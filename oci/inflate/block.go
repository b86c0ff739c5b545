package inflate

import "encoding/binary"

const (
	window   = 32 << 10 // how far a distance reaches back, bytes
	maxMatch = 258
	outSlack = maxMatch + 8 // what one symbol may write, whole words counted
	inSlack  = 32           // what one symbol, or a block's first header fields, may read
	numCodes = 19
)

// codeOrder is the order in which the lengths of the code lengths' code come.
var codeOrder = [numCodes]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

// bitReader hands out bits of in, lowest first. have bits of hold are valid;
// what stands above them is what comes next, or zero.
type bitReader struct {
	in   []byte
	pos  int
	hold uint64
	have uint
}

// refill makes at least 56 bits valid; in has 8 bytes at pos.
func (b *bitReader) refill() {
	b.hold |= binary.LittleEndian.Uint64(b.in[b.pos:]) << (b.have & 63)
	b.pos += int(63-b.have) >> 3
	b.have |= 56
}

func (b *bitReader) take(n uint) uint64 {
	v := b.hold & (1<<n - 1)
	b.hold >>= n & 63
	b.have -= n
	return v
}

// align drops the rest of a byte and gives whole bytes back.
func (b *bitReader) align() {
	b.pos -= int(b.have >> 3)
	b.hold, b.have = 0, 0
}

// symbols decodes until the block ends, in runs short or out is full.
func (d *Reader) symbols() (ended bool, err error) {
	in, pos, hold, have := d.bits.in, d.bits.pos, d.bits.hold, d.bits.have
	out, at := d.out, d.at
	lit, dist := &d.lit, &d.dist
	lastIn, lastOut := len(in)-inSlack, len(out)-2*outSlack
	for pos <= lastIn && at <= lastOut {
		hold |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
		pos += int(63-have) >> 3
		have |= 56
		e := lit[hold&(1<<litBits-1)]
		if e&literal != 0 { // often more than one
			hold >>= e & 63
			have -= uint(e & takes)
			out[at] = byte(e >> baseShift)
			at++
			if e = lit[hold&(1<<litBits-1)]; e&literal != 0 {
				hold >>= e & 63
				have -= uint(e & takes)
				out[at] = byte(e >> baseShift)
				at++
				if e = lit[hold&(1<<litBits-1)]; e&literal != 0 {
					hold >>= e & 63
					have -= uint(e & takes)
					out[at] = byte(e >> baseShift)
					at++
					continue
				}
			}
			hold |= binary.LittleEndian.Uint64(in[pos:]) << (have & 63)
			pos += int(63-have) >> 3
			have |= 56
		}
		if e&special != 0 {
			if e&goesOn != 0 {
				hold >>= e & 63
				have -= uint(e & takes)
				e = lit[uint64(e>>baseShift&baseMask)+hold&(1<<(e>>extraShift&extraMask)-1)]
			}
			if e&literal != 0 {
				hold >>= e & 63
				have -= uint(e & takes)
				out[at] = byte(e >> baseShift)
				at++
				continue
			}
			if e&special != 0 {
				if e&endOfBlock == 0 {
					err = errCode
					break
				}
				hold >>= e & 63
				have -= uint(e & takes)
				ended = true
				break
			}
		}
		hold >>= e & 63
		have -= uint(e & takes)
		extra := e >> extraShift & extraMask
		length := int(e>>baseShift&baseMask) + int(hold&(1<<extra-1))
		hold >>= extra & 63
		have -= uint(extra)

		e = dist[hold&(1<<distBits-1)]
		if e&special != 0 {
			if e&goesOn == 0 {
				err = errCode
				break
			}
			hold >>= e & 63
			have -= uint(e & takes)
			e = dist[uint64(e>>baseShift&baseMask)+hold&(1<<(e>>extraShift&extraMask)-1)]
			if e&special != 0 {
				err = errCode
				break
			}
		}
		hold >>= e & 63
		have -= uint(e & takes)
		extra = e >> extraShift & extraMask
		back := int(e>>baseShift&baseMask) + int(hold&(1<<extra-1))
		hold >>= extra & 63
		have -= uint(extra)
		from := at - back
		if from < d.floor {
			err = errDistance
			break
		}
		repeat(out, at, from, length)
		at += length
	}
	d.bits.pos, d.bits.hold, d.bits.have, d.at = pos, hold, have, at
	return ended, err
}

// repeat copies length bytes from from to at, byte by byte in effect; it may
// write up to 7 bytes more. out has room for them.
func repeat(out []byte, at, from, length int) {
	switch back := at - from; {
	case back >= 8:
		for end := at + length; at < end; at, from = at+8, from+8 {
			binary.LittleEndian.PutUint64(out[at:], binary.LittleEndian.Uint64(out[from:]))
		}
	case back == 1:
		word := uint64(out[from]) * 0x0101010101010101
		for end := at + length; at < end; at += 8 {
			binary.LittleEndian.PutUint64(out[at:], word)
		}
	default:
		for end := at + length; at < end; at, from = at+1, from+1 {
			out[at] = out[from]
		}
	}
}

// dynamic reads the codes of a block (RFC 1951, 3.2.7).
func (d *Reader) dynamic() error {
	if err := d.need(inSlack); err != nil {
		return err
	}
	b := &d.bits
	b.refill()
	nlit, ndist, ncode := int(b.take(5))+257, int(b.take(5))+1, int(b.take(4))+4
	if nlit > 286 || ndist > 30 {
		return errCode
	}
	var lengths [numLit + numDist]uint8
	for i := range ncode {
		b.refill()
		lengths[codeOrder[i]] = uint8(b.take(3))
	}
	var codes [1 << 7]uint32
	if !fill(codes[:], 7, lengths[:numCodes], codeMeaning[:]) {
		return errCode
	}
	lengths = [numLit + numDist]uint8{}
	if err := d.lengths(lengths[:nlit+ndist], &codes); err != nil {
		return err
	}
	if !fill(d.lit[:], litBits, lengths[:nlit], litMeaning[:]) || !fill(d.dist[:], distBits, lengths[nlit:nlit+ndist], distMeaning[:]) {
		return errCode
	}
	return nil
}

// lengths reads the run-length coded lengths of both codes.
func (d *Reader) lengths(to []uint8, codes *[1 << 7]uint32) error {
	b := &d.bits
	for i := 0; i < len(to); {
		if err := d.need(inSlack); err != nil {
			return err
		}
		b.refill()
		e := codes[b.hold&(1<<7-1)]
		if e&special != 0 {
			return errCode
		}
		b.take(uint(e & takes))
		symbol := uint8(e >> baseShift)
		if symbol < 16 {
			to[i] = symbol
			i++
			continue
		}
		value, times := uint8(0), 0
		switch symbol {
		case 16:
			if i == 0 {
				return errCode
			}
			value, times = to[i-1], 3+int(b.take(2))
		case 17:
			times = 3 + int(b.take(3))
		default:
			times = 11 + int(b.take(7))
		}
		if i+times > len(to) {
			return errCode
		}
		for range times {
			to[i] = value
			i++
		}
	}
	return nil
}

// fixed makes the codes of RFC 1951, 3.2.6.
func (d *Reader) fixed() {
	var lengths [numLit]uint8
	for i := range lengths {
		switch {
		case i < 144:
			lengths[i] = 8
		case i < 256:
			lengths[i] = 9
		case i < 280:
			lengths[i] = 7
		default:
			lengths[i] = 8
		}
	}
	fill(d.lit[:], litBits, lengths[:], litMeaning[:])
	for i := range numDist {
		lengths[i] = 5
	}
	fill(d.dist[:], distBits, lengths[:numDist], distMeaning[:])
}
