package inflate

import "math/bits"

// Widths of the first look-up, bits; longer codes go on in a table behind it.
const (
	litBits   = 11
	distBits  = 8
	maxCode   = 15 // bits of a code
	numLit    = 288
	numDist   = 32
	litTable  = 1<<litBits + numLit/2<<(maxCode-litBits)    // each table behind the first
	distTable = 1<<distBits + numDist/2<<(maxCode-distBits) // is of two codes at least
)

// An entry of a table:
//
//	bits 0–7    how many bits its code takes (in this table)
//	bits 8–12   how many bits follow the code, or the width of the next table
//	bit 13      end of the block
//	bit 14      goes on in another table
//	bit 15      none of literal, length, distance: look at 13 and 14, else no code
//	bits 16–30  literal, base of a length or distance, or place of the next table
//	bit 31      literal
const (
	takes      = 0xff
	extraShift = 8
	extraMask  = 31
	endOfBlock = 1 << 13
	goesOn     = 1 << 14
	special    = 1 << 15
	baseShift  = 16
	baseMask   = 1<<15 - 1
	literal    = 1 << 31
	noCode     = special
)

// What symbols mean (RFC 1951, 3.2.5), without the bits their codes take.
var (
	litMeaning  [numLit]uint32
	distMeaning [numDist]uint32
	codeMeaning [numCodes]uint32
)

func init() {
	for i := range 256 {
		litMeaning[i] = literal | uint32(i)<<baseShift
	}
	litMeaning[256] = special | endOfBlock
	base := uint32(3)
	for i := 257; i < 285; i++ {
		extra := uint32(max(0, (i-261)/4))
		litMeaning[i] = base<<baseShift | extra<<extraShift
		base += 1 << extra
	}
	litMeaning[285] = 258 << baseShift
	litMeaning[286], litMeaning[287] = noCode, noCode
	base = 1
	for i := range 30 {
		extra := uint32(max(0, (i-2)/2))
		distMeaning[i] = base<<baseShift | extra<<extraShift
		base += 1 << extra
	}
	distMeaning[30], distMeaning[31] = noCode, noCode
	for i := range numCodes {
		codeMeaning[i] = uint32(i) << baseShift
	}
}

// fill makes the look-up table of a canonical code with the given lengths
// (RFC 1951, 3.2.2). A code that is over-subscribed is refused, and one that is
// incomplete, but for none at all and a single one of one bit.
func fill(table []uint32, width uint, lengths []uint8, meaning []uint32) bool {
	var count, next [maxCode + 1]int
	longest := uint(0)
	for _, n := range lengths {
		count[n]++
		longest = max(longest, uint(n))
	}
	first := table[:1<<width]
	for i := range first {
		first[i] = noCode
	}
	if longest == 0 {
		return true
	}
	code := 0
	for n := uint(1); n <= longest; n++ {
		code <<= 1
		next[n] = code
		code += count[n]
	}
	if code != 1<<longest && !(code == 1 && longest == 1) {
		return false
	}
	free := len(first) // where the next table behind the first begins
	for symbol, n := range lengths {
		if n == 0 {
			continue
		}
		reversed := uint(bits.Reverse16(uint16(next[n])) >> (16 - n))
		next[n]++
		if uint(n) <= width {
			spread(first, reversed, uint(n), meaning[symbol]|uint32(n))
			continue
		}
		at := &first[reversed&(1<<width-1)]
		if *at == noCode {
			*at = special | goesOn | uint32(free)<<baseShift | uint32(longest-width)<<extraShift | uint32(width)
			free += 1 << (longest - width)
		}
		behind := int(*at >> baseShift & baseMask)
		spread(table[behind:behind+1<<(longest-width)], reversed>>width, uint(n)-width, meaning[symbol]|uint32(uint(n)-width))
	}
	return true
}

// spread writes entry to every place whose low n bits are code.
func spread(table []uint32, code, n uint, entry uint32) {
	for ; code < uint(len(table)); code += 1 << n {
		table[code] = entry
	}
}
