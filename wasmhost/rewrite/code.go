package rewrite

import (
	"errors"
	"fmt"

	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// Encodings that the inserted code uses.
const (
	valI32        = 0x7f
	mutable       = 1
	opUnreachable = 0x00
	opDrop        = 0x1a
	opI32Const    = 0x41
	opI32LeS      = 0x4c
	opI32Sub      = 0x6b
	opI32ShrU     = 0x76
	noResult      = 0x40
)

// checkCode is one interruption point:
//
//	counter = counter - 1
//	if counter <= 0 {
//	    counter = Interval
//	    memory.grow(0)           // a trip through Go
//	    if stop { unreachable }
//	}
func checkCode(stop, counter uint32) []byte {
	c := globalGet(nil, counter)
	c = globalSet(append(c, opI32Const, 1, opI32Sub), counter)
	c = globalGet(c, counter)
	c = append(c, opI32Const, 0, opI32LeS, wasmbin.OpIf, noResult)
	c = globalSet(appendS32(append(c, opI32Const), Interval), counter)
	c = append(c, opI32Const, 0, wasmbin.OpMemoryGrow, 0, opDrop)
	c = globalGet(c, stop)
	return append(c, wasmbin.OpIf, noResult, opUnreachable, wasmbin.OpEnd, wasmbin.OpEnd)
}

// chargeCode takes the length of a bulk operation, which is on top of the
// stack, off the counter: a loop of large fills has to stop as fast as any
// other. The counter is above 0 before, so it cannot wrap.
//
//	counter = counter - length >> bulkShift
func chargeCode(counter, length uint32) []byte {
	c := globalGet(globalSet(nil, length), length)
	c = globalGet(globalGet(c, counter), length)
	return globalSet(append(c, opI32Const, bulkShift, opI32ShrU, opI32Sub), counter)
}

func globalGet(c []byte, global uint32) []byte {
	return wasmbin.AppendU32(append(c, wasmbin.OpGlobalGet), global)
}

func globalSet(c []byte, global uint32) []byte {
	return wasmbin.AppendU32(append(c, wasmbin.OpGlobalSet), global)
}

// appendS32 appends a signed LEB128 number that is not negative.
func appendS32(b []byte, v uint32) []byte {
	for v >= 0x40 {
		b = append(b, byte(v&0x7f)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// instrument rewrites every function body.
func (m *rewriter) instrument() error {
	body, present := m.bodies[wasmbin.Code]
	if !present {
		return nil
	}
	r := wasmbin.NewReader(body)
	n := r.Count("functions", MaxFunctions)
	out := wasmbin.AppendU32(make([]byte, 0, len(body)+len(body)/4), uint32(n))
	var scratch []byte
	totalLocals := 0
	for i := range n {
		fn := r.Bytes(r.Count("bytes in a function", maxBody))
		if r.Err() != nil {
			return r.Err()
		}
		var locals int
		var err error
		if scratch, locals, err = m.function(scratch[:0], fn); err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
		if totalLocals += locals; totalLocals > maxTotalLocals {
			return fmt.Errorf("more than %d locals in all", maxTotalLocals)
		}
		out = wasmbin.AppendU32(out, uint32(len(scratch)))
		if out = append(out, scratch...); len(out) > maxCode {
			return fmt.Errorf("code with interruption points is more than %d bytes", maxCode)
		}
	}
	r.End()
	m.bodies[wasmbin.Code] = out
	return r.Err()
}

// function appends the rewritten body of one function to out.
func (m *rewriter) function(out, body []byte) (code []byte, locals int, err error) {
	r := wasmbin.NewReader(body)
	locals = readLocals(r)
	out = append(out, r.Since(0)...)
	scan, err := m.scan(r)
	if err != nil {
		return nil, 0, err
	}
	from := scan.start
	for _, p := range scan.points {
		out = append(out, body[from:p.at]...)
		if p.bulk {
			out = append(out, m.charge...)
		}
		out = append(out, m.check...)
		from = p.at
	}
	m.checks += len(scan.points)
	return append(out, body[from:]...), locals, nil
}

func readLocals(r *wasmbin.Reader) int {
	total := 0
	for range r.Count("groups of locals", maxLocalGroups) {
		n := r.U32()
		if total += int(n); n > maxLocals || total > maxLocals {
			r.Fail("more than %d locals", maxLocals)
			return 0
		}
		if t := r.Byte(); !wasmbin.IsValueType(t) {
			r.Fail("local of type 0x%02x is not supported", t)
		}
	}
	return total
}

// scanned says where a function needs interruption points.
type scanned struct {
	start  int // of the code, after the locals
	points []point
}

// point is one interruption point, before the instruction at offset at.
type point struct {
	at   int
	bulk bool // that instruction is a bulk operation
}

// scan walks the code up to the end of the body.
func (m *rewriter) scan(r *wasmbin.Reader) (scanned, error) {
	s := scanned{start: r.Pos()}
	calls, depth, straight := false, 1, 0
	for depth > 0 {
		at := r.Pos()
		in := r.Instr()
		if straight++; in.Bulk || straight > maxStraight {
			s.points = append(s.points, point{at: at, bulk: in.Bulk})
			straight = 0
		}
		switch {
		case in.Op >= wasmbin.OpBlock && in.Op <= wasmbin.OpIf:
			if depth++; depth > maxDepth {
				r.Fail("blocks nested deeper than %d", maxDepth)
			}
			if in.Op == wasmbin.OpLoop {
				s.points = append(s.points, point{at: r.Pos()})
				straight = 0
			}
		case in.Op == wasmbin.OpEnd:
			depth--
		case in.Op >= wasmbin.OpCall && in.Op <= wasmbin.OpReturnCallI:
			calls = true
		case in.Op == wasmbin.OpGlobalGet || in.Op == wasmbin.OpGlobalSet:
			if in.Index >= m.globals {
				r.Fail("global %d does not exist", in.Index)
			}
		}
		if r.Err() != nil {
			return scanned{}, r.Err()
		}
	}
	if r.Left() > 0 {
		return scanned{}, errors.New("code after the end of the function")
	}
	if calls {
		s.points = append([]point{{at: s.start}}, s.points...)
	}
	return s, nil
}
