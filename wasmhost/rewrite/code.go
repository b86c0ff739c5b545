package rewrite

import "github.com/consentry/consentry/wasmhost/wasmbin"

// Encodings that the inserted code uses.
const (
	valI32        = 0x7f
	mutable       = 1
	opUnreachable = 0x00
	opDrop        = 0x1a
	opLocalGet    = 0x20
	opLocalSet    = 0x21
	opLocalTee    = 0x22
	opI32Const    = 0x41
	opI32GtS      = 0x4a
	opI32Sub      = 0x6b
	opI32ShrU     = 0x76
	opElse        = 0x05
	noResult      = 0x40
)

// tickBody is the function that interruption points call when the counter has
// run down:
//
//	counter = Interval
//	memory.grow(0)           // a trip through Go
//	if stop { unreachable }
func tickBody(stop, counter uint32) []byte {
	c := appendS32([]byte{0, opI32Const}, Interval) // no locals
	c = indexed(c, wasmbin.OpGlobalSet, counter)
	c = append(c, opI32Const, 0, wasmbin.OpMemoryGrow, 0, opDrop)
	c = indexed(c, wasmbin.OpGlobalGet, stop)
	return append(c, wasmbin.OpIf, noResult, opUnreachable, wasmbin.OpEnd, wasmbin.OpEnd)
}

// points writes the interruption points of one function. A function with loops
// keeps the counter in a local while it runs, for a global lies in memory; its
// callers and callees find it in the global.
type points struct {
	tick    uint32 // the function
	global  uint32 // the counter
	local   uint32 // the counter while the function runs, or room to compute it
	length  uint32 // local for the length of a bulk operation
	inLocal bool
}

// load takes the counter over from the global.
func (p points) load(c []byte) []byte {
	return indexed(indexed(c, wasmbin.OpGlobalGet, p.global), opLocalSet, p.local)
}

// store gives the counter back to the global.
func (p points) store(c []byte) []byte {
	return indexed(indexed(c, opLocalGet, p.local), wasmbin.OpGlobalSet, p.global)
}

// charge is one interruption point:
//
//	counter -= n
//	if counter <= 0 { tick() }
func (p points) charge(c []byte, n uint32) []byte {
	c = p.get(c)
	return p.settle(appendS32(append(c, opI32Const), n))
}

// chargeBulk charges the length of a bulk operation, which is on top of the
// stack: a loop of large fills has to stop as fast as any other. The counter
// is above 0 before, so it cannot wrap.
//
//	counter -= length >> bulkShift
//	if counter <= 0 { tick() }
func (p points) chargeBulk(c []byte) []byte {
	c = p.get(indexed(c, opLocalTee, p.length))
	return p.settle(append(indexed(c, opLocalGet, p.length), opI32Const, bulkShift, opI32ShrU))
}

// loop follows the header of a loop. The loop's own branches go to a second
// header, so that the call of tick is outside of what is hot, where it would
// cost registers; and the loop's body stands in the first branch, so that the
// processor runs straight on:
//
//	loop {
//	    if counter <= 0 { tick() }
//	    loop {
//	        counter -= n
//	        if counter > 0 { … } else { continue outer }
//
// header is the header with its type; loopEnd ends the body.
func (p points) loop(c, header []byte, n uint32) []byte {
	c = p.look(indexed(c, opLocalGet, p.local))
	c = append(c, header...)
	c = appendS32(append(indexed(c, opLocalGet, p.local), opI32Const), n)
	c = indexed(append(c, opI32Sub), opLocalTee, p.local)
	c = append(c, opI32Const, 0, opI32GtS, wasmbin.OpIf)
	return append(c, header[1:]...)
}

// loopEnd is followed by the loop's own end.
func loopEnd(c []byte) []byte {
	return append(c, opElse, wasmbin.OpBr, 2, wasmbin.OpEnd, wasmbin.OpEnd)
}

func (p points) get(c []byte) []byte {
	if p.inLocal {
		return indexed(c, opLocalGet, p.local)
	}
	return indexed(c, wasmbin.OpGlobalGet, p.global)
}

// settle subtracts, where counter and charge are on the stack, and looks.
func (p points) settle(c []byte) []byte {
	c = indexed(append(c, opI32Sub), opLocalTee, p.local)
	if !p.inLocal {
		c = indexed(indexed(c, wasmbin.OpGlobalSet, p.global), opLocalGet, p.local)
	}
	return p.look(c)
}

// look calls tick if the counter on the stack has run down. The call stands in
// the second branch: the engine's register allocator goes on with what the
// first branch left in registers.
func (p points) look(c []byte) []byte {
	c = append(c, opI32Const, 0, opI32GtS, wasmbin.OpIf, noResult, opElse)
	c = indexed(c, wasmbin.OpCall, p.tick)
	if p.inLocal {
		c = p.load(c)
	}
	return append(c, wasmbin.OpEnd)
}

// indexed appends an instruction that has an index.
func indexed(c []byte, op byte, index uint32) []byte {
	return wasmbin.AppendU32(append(c, op), index)
}

// appendS32 appends a signed LEB128 number that is not negative.
func appendS32(b []byte, v uint32) []byte {
	for v >= 0x40 {
		b = append(b, byte(v&0x7f)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}
