package wasmbin

// FuncType is a function type, as far as it was looked at.
type FuncType struct {
	Params  int
	Results int
}

// FuncTypes reads the body of a type section.
func FuncTypes(body []byte) ([]FuncType, error) {
	r := NewReader(body)
	list := make([]FuncType, 0, r.Count("types", maxTypes))
	for range cap(list) {
		list = append(list, r.funcType())
		if r.Err() != nil {
			return nil, r.Err()
		}
	}
	r.End()
	return list, r.Err()
}

func (r *Reader) funcType() FuncType {
	if form := r.Byte(); form != formFunc {
		r.Fail("type of form 0x%02x is not supported", form)
	}
	return FuncType{Params: r.valueTypes(), Results: r.valueTypes()}
}

func (r *Reader) valueTypes() int {
	n := r.Count("values", maxValues)
	for range n {
		if b := r.Byte(); !IsValueType(b) {
			r.Fail("value type 0x%02x is not supported", b)
		}
	}
	return n
}

// Indices reads the body of a function section: the type of each function.
func Indices(body []byte) ([]uint32, error) {
	r := NewReader(body)
	list := make([]uint32, r.Count("functions", maxFunctions))
	for i := range list {
		list[i] = r.U32()
	}
	r.End()
	return list, r.Err()
}
