package wasmbin

import "fmt"

// Limits of the sections that are only checked.
const (
	maxTypes      = 100_000
	maxValues     = 1_000 // parameters or results of one type
	maxFunctions  = 1_000_000
	maxSegments   = 100_000
	maxInitial    = 10_000_000 // entries of one element segment
	formFunc      = 0x60
	elemPassive   = 1 << 0
	elemExplicit  = 1 << 1
	elemExprs     = 1 << 2
	elemKnown     = 1<<3 - 1
	dataPassive   = 1
	dataWithIndex = 2
)

// Check reads the sections that nothing else here reads, so that no count in
// them is larger than what follows it: the engine takes memory by the count.
// It returns how many functions there must be for every index in it to exist.
func Check(id SectionID, body []byte) (functions uint32, err error) {
	r := NewReader(body)
	switch id {
	case Type:
		r.each(r.Count("types", maxTypes), func() { r.funcType() })
	case Function:
		r.each(r.Count("functions", maxFunctions), func() { r.U32() })
	case Element:
		r.each(r.Count("element segments", maxSegments), r.element)
	case Data:
		r.each(r.Count("data segments", maxSegments), r.data)
	case DataCount:
		if n := r.U32(); n > maxSegments {
			r.Fail("%d data segments, more than %d", n, maxSegments)
		}
	default:
		return 0, nil
	}
	r.End()
	if r.Err() != nil {
		return 0, fmt.Errorf("section %d: %w", id, r.Err())
	}
	return r.functions, nil
}

func (r *Reader) each(n int, read func()) {
	for i := 0; i < n && r.err == nil; i++ {
		read()
	}
}

// element reads one of the eight forms of an element segment.
func (r *Reader) element() {
	flags := r.U32()
	if flags&^elemKnown != 0 {
		r.Fail("element segment of kind %d", flags)
		return
	}
	if flags&elemPassive == 0 {
		if flags&elemExplicit != 0 {
			r.U32() // table
		}
		r.ConstExpr()
	}
	if flags&(elemPassive|elemExplicit) != 0 {
		r.Byte() // kind or type
	}
	n := r.Count("elements", maxInitial)
	if flags&elemExprs != 0 {
		r.each(n, r.ConstExpr)
		return
	}
	r.each(n, func() { r.Func() })
}

func (r *Reader) data() {
	switch flags := r.U32(); flags {
	case 0:
		r.ConstExpr()
	case dataPassive:
	case dataWithIndex:
		r.U32()
		r.ConstExpr()
	default:
		r.Fail("data segment of kind %d", flags)
	}
	r.Bytes(r.Count("bytes of data", len(r.buf)))
}
