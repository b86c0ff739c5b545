package rewrite

import (
	"errors"
	"fmt"

	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// function is what has to be known of a function before it is written, and of
// those that it calls.
type function struct {
	body   []byte // locals and code
	params int
	locals int
	start  int      // of the code in body
	calls  []uint32 // the functions that it names in calls, by their index
	size   int      // instructions

	indirect int // calls that may run up to maxFree instructions of any function
	loops    bool
	bulk     bool // has bulk operations

	state  visit
	cost   int  // instructions that a call may run without a charge
	entry  bool // is charged on entry
	cycle  bool // is charged before it calls another function
	counts bool // uses the counter, or calls a function that does
}

type visit int

const (
	unseen visit = iota
	under        // its callees are being visited
	done
)

// readCode scans every function once.
func (m *rewriter) readCode() error {
	r := wasmbin.NewReader(m.bodies[wasmbin.Code])
	n := 0
	if _, present := m.bodies[wasmbin.Code]; present {
		n = r.Count("functions", MaxFunctions)
	}
	if r.Err() == nil && n != len(m.own) {
		return fmt.Errorf("code of %d functions, and %d are declared", n, len(m.own))
	}
	total := 0
	for i := range m.own {
		fn := &m.own[i]
		fn.body = r.Bytes(r.Count("bytes in a function", maxBody))
		if r.Err() != nil {
			return r.Err()
		}
		if err := m.scan(fn); err != nil {
			return fmt.Errorf("function %d: %w", i, err)
		}
		if total += fn.locals; total > maxTotalLocals {
			return fmt.Errorf("more than %d locals in all", maxTotalLocals)
		}
	}
	if n > 0 {
		r.End()
	}
	return r.Err()
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

// scan walks the code of fn up to the end of its body.
func (m *rewriter) scan(fn *function) error {
	r := wasmbin.NewReader(fn.body)
	fn.locals = readLocals(r)
	fn.start = r.Pos()
	for depth := 1; depth > 0 && r.Err() == nil; fn.size++ {
		in := r.Instr()
		switch {
		case in.Op >= wasmbin.OpBlock && in.Op <= wasmbin.OpIf:
			if depth++; depth > maxDepth {
				r.Fail("blocks nested deeper than %d", maxDepth)
			}
			fn.loops = fn.loops || in.Op == wasmbin.OpLoop
		case in.Op == wasmbin.OpEnd:
			depth--
		case in.Op == wasmbin.OpCall, in.Op == wasmbin.OpReturnCall:
			fn.calls = append(fn.calls, in.Index)
		case in.Op == wasmbin.OpCallI, in.Op == wasmbin.OpReturnCallI:
			fn.cycle = true // it may lead anywhere
			fn.indirect++
		case in.Op == wasmbin.OpGlobalGet, in.Op == wasmbin.OpGlobalSet:
			if in.Index >= m.globals {
				r.Fail("global %d does not exist", in.Index)
			}
		}
		fn.bulk = fn.bulk || in.Bulk
	}
	m.named = max(m.named, r.Functions())
	if r.Err() == nil && r.Left() > 0 {
		return errors.New("code after the end of the function")
	}
	return r.Err()
}

// weigh finds out which functions have to be charged, so that
//   - each cycle of calls has a charge in it, and
//   - what runs between two charges is in proportion to them.
//
// It walks the calls depth first: every cycle has a call to a function whose
// callees are being visited, and that function is charged.
func (m *rewriter) weigh() {
	type step struct {
		fn   *function
		next int // call to look at
	}
	var path []step
	for i := range m.own {
		if m.own[i].state != unseen {
			continue
		}
		m.own[i].state = under
		for path = append(path[:0], step{fn: &m.own[i]}); len(path) > 0; {
			top := &path[len(path)-1]
			if top.next == len(top.fn.calls) {
				m.conclude(top.fn)
				path = path[:len(path)-1]
				continue
			}
			callee := m.callee(top.fn.calls[top.next])
			top.next++
			switch {
			case callee == nil:
			case callee.state == under:
				callee.cycle = true
			case callee.state == unseen:
				callee.state = under
				path = append(path, step{fn: callee})
			}
		}
	}
}

// callee is nil for imported functions: they go through Go anyway.
func (m *rewriter) callee(index uint32) *function {
	if index < m.imported {
		return nil
	}
	return &m.own[index-m.imported]
}

// conclude is called when all callees of fn that lead not back to it are done.
func (m *rewriter) conclude(fn *function) {
	fn.state = done
	fn.cost = fn.size
	fn.counts = fn.loops || fn.bulk || fn.cycle
	for _, index := range fn.calls {
		callee := m.callee(index)
		if callee == nil {
			continue
		}
		fn.cost = min(fn.cost+callee.free(), maxBody)
		fn.counts = fn.counts || callee.counts || callee.state == under
	}
	if fn.cost > maxFree {
		fn.entry, fn.counts = true, true
	}
}

// free is what a call may run before the first charge.
func (fn *function) free() int {
	switch {
	case fn.entry:
		return 0
	case fn.cycle || fn.state == under:
		return min(fn.size, maxFree)
	}
	return fn.cost
}

// ticks is the charge for cost instructions.
func ticks(cost int) uint32 { return 1 + uint32(cost)/chargeUnit }
