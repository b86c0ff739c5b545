package rewrite

import (
	"fmt"

	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// writeCode writes every function anew.
func (m *rewriter) writeCode() error {
	if len(m.own) == 0 {
		return nil
	}
	m.weigh()
	size := len(m.bodies[wasmbin.Code])
	out := wasmbin.AppendU32(make([]byte, 0, size+size/3), uint32(len(m.own))+1)
	var w writer
	for i := range m.own {
		code := w.write(m, &m.own[i])
		m.checks += w.points
		out = wasmbin.AppendU32(out, uint32(len(code)))
		if out = append(out, code...); len(out) > maxCode {
			return fmt.Errorf("code with interruption points is more than %d bytes", maxCode)
		}
	}
	tick := tickBody(m.stop(), m.counter())
	out = wasmbin.AppendU32(out, uint32(len(tick)))
	m.bodies[wasmbin.Code] = append(out, tick...)
	return nil
}

// writer writes one function after the other. Its buffers are used again.
type writer struct {
	m  *rewriter
	fn *function
	p  points

	r      *wasmbin.Reader
	out    []byte
	from   int     // what of the body is not yet in out
	loops  []loop  // in the order of their headers
	frames []frame // the open blocks
	ticked bool    // the code at hand runs only after a charge
	points int
}

// frame is one open block of the original.
type frame struct {
	added int // blocks that were added around it, and around those it is in
	self  int // added blocks between its content and the label of its own branches
	copy  bool
	loop  bool // it is a loop, or lies in one: its code runs only after a charge
}

// loop is what has to be known at its header.
type loop struct {
	cost  int  // instructions of one round; those of loops in it once
	size  int  // as cost, without those of the functions that it calls
	calls bool // has calls in it
	hard  bool // has loops or bulk operations in it
}

// write returns the rewritten body of fn, which is valid until the next call.
func (w *writer) write(m *rewriter, fn *function) []byte {
	w.m, w.fn, w.points, w.ticked = m, fn, 0, false
	w.p = points{tick: m.tick(), global: m.counter(), local: uint32(fn.params + fn.locals), inLocal: fn.loops}
	w.p.length = w.p.local + 1
	w.locals()
	w.weighLoops()
	w.frames = append(w.frames[:0], frame{})
	w.from = fn.start
	w.enter()
	w.r = wasmbin.NewReader(fn.body)
	w.r.Bytes(fn.start)
	for len(w.frames) > 0 {
		at := w.r.Pos()
		w.instr(at, w.r.Instr())
	}
	return append(w.out, fn.body[w.from:]...)
}

// locals writes the declaration of locals, with ours.
func (w *writer) locals() {
	w.out = w.out[:0]
	fn := w.fn
	extra := uint32(0)
	switch {
	case fn.bulk:
		extra = 2
	case fn.loops, fn.cycle, fn.entry:
		extra = 1
	}
	if extra == 0 {
		w.out = append(w.out, fn.body[:fn.start]...)
		return
	}
	r := wasmbin.NewReader(fn.body)
	groups := r.U32()
	w.out = wasmbin.AppendU32(w.out, groups+1)
	w.out = append(w.out, fn.body[r.Pos():fn.start]...)
	w.out = append(wasmbin.AppendU32(w.out, extra), valI32)
}

// enter writes what comes before the code.
func (w *writer) enter() {
	if w.p.inLocal {
		w.out = w.p.load(w.out)
	}
	if w.fn.entry {
		w.charge(w.fn.cost)
	}
}

func (w *writer) charge(cost int) {
	w.out = w.p.charge(w.out, ticks(cost))
	w.points++
	w.ticked = true
}

// weighLoops finds the cost of one round of each loop. Rounds of the loops in
// it are charged there, and counted once here.
func (w *writer) weighLoops() {
	w.loops = w.loops[:0]
	if !w.fn.loops {
		return
	}
	r := wasmbin.NewReader(w.fn.body)
	r.Bytes(w.fn.start)
	total, called := 0, 0
	open := []int{-1} // the innermost loop around what is in each open block, or -1
	for len(open) > 0 {
		total++
		last := len(open) - 1
		around := open[last]
		in := r.Instr()
		switch in.Op {
		case wasmbin.OpLoop:
			if around >= 0 {
				w.loops[around].hard = true
			}
			open = append(open, len(w.loops))
			w.loops = append(w.loops, loop{cost: -total, size: called - total})
		case wasmbin.OpBlock, wasmbin.OpIf:
			open = append(open, around)
		case wasmbin.OpEnd:
			if last > 0 && around != open[last-1] { // the end of the loop itself
				w.loops[around].cost += total
				w.loops[around].size += total - called
			}
			open = open[:last]
		}
		more := w.calledBy(in)
		total, called = total+more, called+more
		if around >= 0 {
			w.loops[around].note(in)
		}
	}
}

// calledBy is what the functions that in calls may run without a charge.
func (w *writer) calledBy(in wasmbin.Instr) int {
	switch in.Op {
	case wasmbin.OpCallI, wasmbin.OpReturnCallI:
		return maxFree
	case wasmbin.OpCall, wasmbin.OpReturnCall:
		if callee := w.m.callee(in.Index); callee != nil {
			return callee.free()
		}
	}
	return 0
}

// note takes in an instruction of the loop that is in no loop within it.
func (l *loop) note(in wasmbin.Instr) {
	l.hard = l.hard || in.Bulk
	l.calls = l.calls || in.Op >= wasmbin.OpCall && in.Op <= wasmbin.OpReturnCallI
}

// instr writes the instruction that begins at offset at, or leaves it to be
// copied with what follows.
func (w *writer) instr(at int, in wasmbin.Instr) {
	switch op := in.Op; {
	case op == wasmbin.OpLoop:
		w.loop(at, in.Block)
	case op == wasmbin.OpBlock, op == wasmbin.OpIf:
		w.open(frame{})
	case op == opElse:
		w.ticked = false
	case op == wasmbin.OpEnd:
		w.end(at)
	case op == wasmbin.OpBr, op == wasmbin.OpBrIf, op == wasmbin.OpBrTable:
		w.branch(at, in)
	case op == wasmbin.OpReturn:
		w.leave(at)
	case op >= wasmbin.OpCall && op <= wasmbin.OpReturnCallI:
		w.call(at, in)
	case in.Bulk:
		w.copyTo(at)
		w.out = w.p.chargeBulk(w.out)
		w.points++
	}
}

func (w *writer) copyTo(at int) {
	w.out = append(w.out, w.fn.body[w.from:at]...)
	w.from = at
}

// open opens a block; f.added counts from the block around it.
func (w *writer) open(f frame) {
	around := w.frames[len(w.frames)-1]
	f.added += around.added
	f.loop = f.loop || around.loop
	w.frames = append(w.frames, f)
}

// loop writes a loop's header. One that takes parameters gets no second
// header, as its branches bring them.
func (w *writer) loop(at int, block int64) {
	l := w.loops[0]
	w.loops = w.loops[1:]
	w.copyTo(w.r.Pos())
	if block >= 0 && (block >= int64(len(w.m.types)) || w.m.types[block].Params > 0) {
		w.open(frame{loop: true})
		w.charge(l.cost)
		return
	}
	w.out = w.p.loop(w.out, w.fn.body[at:w.from], l.charge())
	w.points++
	for range l.copies() - 1 {
		w.copyBody()
	}
	w.open(frame{added: 2, self: 1, loop: true})
}

// copies is how often the body of a small loop is written: one charge for all
// of them.
func (l loop) copies() int {
	switch {
	case l.hard:
		return 1
	case l.calls && l.size <= maxCopiedCalls:
		return 2
	case l.calls || l.cost > 2*maxCopied:
		return 1
	case l.cost > maxCopied:
		return 2
	}
	return 4
}

// charge is for all copies where a round may run other functions.
func (l loop) charge() uint32 {
	if l.calls {
		return ticks(l.cost * l.copies())
	}
	return ticks(l.cost)
}

const (
	// maxCopied is the size of a loop, in instructions, that is small: a charge
	// is four instructions.
	maxCopied = 24
	// maxCopiedCalls is that of a loop with calls, as interpreters have around
	// their branch table: of its round only a part runs.
	maxCopiedCalls = 4 * maxCopied
)

// copyBody writes the body of a loop once more than it is there, before the
// first of its instructions is written. Where the body goes on with the next
// round it goes on with the next copy, which follows the block:
//
//	block { … ; break out of the loop }
func (w *writer) copyBody() {
	start := w.from
	w.out = append(w.out, wasmbin.OpBlock, noResult)
	around := len(w.frames)
	w.open(frame{added: 3, copy: true})
	for len(w.frames) > around {
		at := w.r.Pos()
		w.instr(at, w.r.Instr())
	}
	w.r = wasmbin.NewReader(w.fn.body)
	w.r.Bytes(start)
	w.from = start
}

func (w *writer) end(at int) {
	last := len(w.frames) - 1
	if last == 0 {
		w.leave(at)
	}
	switch f := w.frames[last]; {
	case f.copy:
		w.copyTo(at)
		w.out = append(w.out, wasmbin.OpBr, 1, wasmbin.OpEnd)
	case f.self > 0:
		w.copyTo(at)
		w.out = loopEnd(w.out)
	}
	w.frames = w.frames[:last]
	w.ticked = false
}

// leave gives the counter back before an instruction that may end the function.
func (w *writer) leave(at int) {
	if w.p.inLocal {
		w.copyTo(at)
		w.out = w.p.store(w.out)
	}
}

// branch writes a branch with its targets counted anew.
func (w *writer) branch(at int, in wasmbin.Instr) {
	targets := []uint32{in.Index}
	if in.Op == wasmbin.OpBrTable {
		r := wasmbin.NewReader(w.fn.body[at+1:])
		targets = r.Targets()
	}
	leaves, changed := false, false
	for i, t := range targets {
		to := w.target(t)
		leaves = leaves || int(t) == len(w.frames)-1
		changed = changed || to != t
		targets[i] = to
	}
	if leaves {
		w.leave(at)
	}
	if !changed {
		return
	}
	w.copyTo(at)
	w.out = append(w.out, in.Op)
	if in.Op == wasmbin.OpBrTable {
		w.out = wasmbin.AppendU32(w.out, uint32(len(targets)-1))
	}
	for _, t := range targets {
		w.out = wasmbin.AppendU32(w.out, t)
	}
	w.from = w.r.Pos()
}

// target counts the blocks that were added between here and the block that a
// branch goes to. A target that does not exist still does not.
func (w *writer) target(depth uint32) uint32 {
	top := len(w.frames) - 1
	if int64(depth) > int64(top) {
		return depth | 1<<31
	}
	to := w.frames[top-int(depth)]
	return depth + uint32(w.frames[top].added-to.added+to.self)
}

// call charges before a call that may be part of a cycle, and lends the
// counter to functions that use it.
func (w *writer) call(at int, in wasmbin.Instr) {
	indirect := in.Op == wasmbin.OpCallI || in.Op == wasmbin.OpReturnCallI
	var callee *function
	if !indirect {
		callee = w.m.callee(in.Index)
	}
	charged := w.ticked || w.frames[len(w.frames)-1].loop
	if w.fn.cycle && !charged && (indirect || callee != nil) {
		w.copyTo(at)
		w.charge(w.fn.cost + w.fn.indirect*maxFree)
	}
	if !w.p.inLocal {
		return
	}
	if in.Op == wasmbin.OpReturnCall || in.Op == wasmbin.OpReturnCallI {
		w.leave(at)
		return
	}
	if indirect || callee != nil && callee.counts {
		w.copyTo(at)
		w.out = w.p.store(w.out)
		w.copyTo(w.r.Pos())
		w.out = w.p.load(w.out)
	}
}
