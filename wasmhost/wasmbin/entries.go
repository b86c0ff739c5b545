package wasmbin

// Kind is what an import or export is.
type Kind byte

// The kinds of a core module.
const (
	KindFunc   Kind = 0
	KindTable  Kind = 1
	KindMemory Kind = 2
	KindGlobal Kind = 3
)

// Limits of the vectors read here.
const (
	MaxImports = 10_000
	MaxExports = 100_000
)

// ImportEntry is one import.
type ImportEntry struct {
	Module string
	Name   string
	Kind   Kind
}

// Imports reads the body of an import section.
func Imports(body []byte) ([]ImportEntry, error) {
	r := NewReader(body)
	list := make([]ImportEntry, 0, r.Count("imports", MaxImports))
	for range cap(list) {
		e := ImportEntry{Module: r.Name(), Name: r.Name(), Kind: Kind(r.Byte())}
		switch e.Kind {
		case KindFunc:
			r.U32()
		case KindTable:
			r.Byte()
			r.Limits()
		case KindMemory:
			r.Limits()
		case KindGlobal:
			r.Byte()
			r.Byte()
		default:
			r.Fail("import of kind %d", e.Kind)
		}
		if r.Err() != nil {
			return nil, r.Err()
		}
		list = append(list, e)
	}
	r.End()
	return list, r.Err()
}

// ExportEntry is one export.
type ExportEntry struct {
	Name  string
	Kind  Kind
	Index uint32
}

// Exports reads the body of an export section.
func Exports(body []byte) ([]ExportEntry, error) {
	r := NewReader(body)
	list := make([]ExportEntry, 0, r.Count("exports", MaxExports))
	for range cap(list) {
		list = append(list, ExportEntry{Name: r.Name(), Kind: Kind(r.Byte()), Index: r.U32()})
		if r.Err() != nil {
			return nil, r.Err()
		}
	}
	r.End()
	return list, r.Err()
}

// Limits are the bounds of a table or memory.
type Limits struct {
	Min    uint32
	Max    uint32
	HasMax bool
}

// Limits reads bounds. Shared and 64-bit memories are faults.
func (r *Reader) Limits() Limits {
	flag := r.Byte()
	if flag > 1 {
		r.Fail("limits of kind %d: shared and 64-bit memories are not supported", flag)
		return Limits{}
	}
	l := Limits{Min: r.U32(), HasMax: flag == 1}
	if l.HasMax {
		l.Max = r.U32()
	}
	return l
}
