package wasmbin

// Opcodes that callers look at.
const (
	OpBlock       = 0x02
	OpLoop        = 0x03
	OpIf          = 0x04
	OpEnd         = 0x0b
	OpBr          = 0x0c
	OpBrIf        = 0x0d
	OpBrTable     = 0x0e
	OpReturn      = 0x0f
	OpCall        = 0x10
	OpCallI       = 0x11
	OpReturnCall  = 0x12
	OpReturnCallI = 0x13
	OpGlobalGet   = 0x23
	OpGlobalSet   = 0x24
	OpMemoryGrow  = 0x40
	OpRefFunc     = 0xd2
)

// maxBranches bounds the targets of one br_table.
const maxBranches = 65_520

// Instr is one instruction, as far as it was looked at.
type Instr struct {
	Op    byte
	Index uint32 // the first index of branches, calls, variables and tables
	Block int64  // of blocks: the index of their type, -1 for a plain one
	Bulk  bool   // works on as many bytes or entries as the top of the stack says
}

// Instr reads one instruction. Only what the engine is configured to take
// passes, read exactly as the engine reads it: a difference in the length of
// one instruction would hide code from whoever reads with this function.
func (r *Reader) Instr() Instr {
	in := Instr{Op: r.Byte()}
	switch op := in.Op; {
	case op <= 0x01, op == 0x05, op == OpEnd, op == OpReturn, op == 0x1a, op == 0x1b, op == 0xd1,
		op >= 0x45 && op <= 0xc4:
		// no immediate
	case op >= OpBlock && op <= OpIf:
		in.Block = r.blockType()
	case op == OpBr, op == OpBrIf, op >= 0x20 && op <= 0x26:
		in.Index = r.U32()
	case op == OpCall, op == OpReturnCall, op == OpRefFunc:
		in.Index = r.Func()
	case op == OpBrTable:
		r.branchTable()
	case op == OpCallI, op == OpReturnCallI:
		in.Index = r.U32()
		r.U32()
	case op == 0x1c:
		r.selectType()
	case op >= 0x28 && op <= 0x3e:
		r.memArg()
	case op == 0x3f, op == OpMemoryGrow:
		r.zero()
	case op == 0x41:
		r.Signed(32)
	case op == 0x42:
		r.Signed(64)
	case op == 0x43:
		r.Bytes(4)
	case op == 0x44:
		r.Bytes(8)
	case op == 0xd0:
		r.refType()
	case op == 0xfc:
		in.Bulk = r.misc()
	case op == 0xfd:
		r.vector()
	default:
		r.Fail("instruction 0x%02x is not supported", op)
	}
	return in
}

// blockType reads nothing, a value type, or a type index, which it returns.
func (r *Reader) blockType() int64 {
	start := r.pos
	v := r.Signed(33)
	switch {
	case r.err != nil, v >= 0:
		return v
	case r.pos != start+1, !IsValueType(r.buf[start]) && r.buf[start] != 0x40:
		r.Fail("block type is not supported")
	}
	return -1
}

// IsValueType tells whether b is a value type that the engine takes.
func IsValueType(b byte) bool {
	return b >= 0x7b && b <= 0x7f || b == 0x70 || b == 0x6f
}

func (r *Reader) refType() {
	if b := r.Byte(); b != 0x70 && b != 0x6f {
		r.Fail("reference type 0x%02x is not supported", b)
	}
}

func (r *Reader) selectType() {
	if n := r.Byte(); n != 1 {
		r.Fail("select of %d types", n)
	}
	if b := r.Byte(); !IsValueType(b) {
		r.Fail("value type 0x%02x is not supported", b)
	}
}

func (r *Reader) branchTable() {
	for range r.Count("branch targets", maxBranches) {
		r.U32()
	}
	r.U32()
}

// Targets reads what follows OpBrTable: the default target comes last.
func (r *Reader) Targets() []uint32 {
	list := make([]uint32, r.Count("branch targets", maxBranches)+1)
	for i := range list {
		list[i] = r.U32()
	}
	return list
}

func (r *Reader) memArg() {
	if align := r.U32(); align >= 32 {
		r.Fail("alignment 2^%d", align)
	}
	r.U32()
}

func (r *Reader) zero() {
	if b := r.Byte(); b != 0 {
		r.Fail("memory %d: there is only one", b)
	}
}

// misc reads the instructions with prefix 0xfc.
func (r *Reader) misc() (bulk bool) {
	sub := r.U32()
	switch {
	case sub <= 7: // saturating truncations
	case sub == 8: // memory.init
		r.U32()
		r.zero()
	case sub == 9, sub == 13, sub >= 15 && sub <= 17:
		r.U32()
	case sub == 10: // memory.copy
		r.zero()
		r.zero()
	case sub == 11: // memory.fill
		r.zero()
	case sub == 12, sub == 14: // table.init, table.copy
		r.U32()
		r.U32()
	default:
		r.Fail("instruction 0xfc %d is not supported", sub)
	}
	return sub == 8 || sub >= 10 && sub <= 12 || sub == 14 || sub == 17
}

// vector reads the instructions with prefix 0xfd. The engine takes the second
// opcode as one byte, and what LEB128 needs beyond that (0x01) as a nop.
func (r *Reader) vector() {
	switch sub := r.Byte(); {
	case sub <= 11, sub == 92, sub == 93:
		r.memArg()
	case sub == 12, sub == 13:
		r.Bytes(16)
	case sub >= 21 && sub <= 34:
		r.Byte()
	case sub >= 84 && sub <= 91:
		r.memArg()
		r.Byte()
	}
}

// ConstExpr reads a constant expression up to its end.
func (r *Reader) ConstExpr() {
	for r.Err() == nil {
		switch in := r.Instr(); {
		case in.Op == OpEnd:
			return
		case in.Op >= OpBlock && in.Op <= OpIf:
			r.Fail("block in a constant expression")
		}
	}
}
