package rewrite

import (
	"errors"
	"fmt"

	"github.com/consentry/consentry/wasmhost/wasmbin"
)

func (m *rewriter) readTypes() (err error) {
	if body, present := m.bodies[wasmbin.Type]; present {
		m.types, err = wasmbin.FuncTypes(body)
	}
	return err
}

// readFunctions notes the parameters of each function.
func (m *rewriter) readFunctions() error {
	body, present := m.bodies[wasmbin.Function]
	if !present {
		return nil
	}
	indices, err := wasmbin.Indices(body)
	if err != nil {
		return err
	}
	if len(indices) > MaxFunctions {
		return fmt.Errorf("%d functions, more than %d", len(indices), MaxFunctions)
	}
	m.own = make([]function, len(indices))
	for i, t := range indices {
		if int64(t) >= int64(len(m.types)) {
			return fmt.Errorf("type %d does not exist", t)
		}
		m.own[i].params = m.types[t].Params
	}
	return nil
}

// checkNamed keeps the module from naming the function that addTick adds.
func (m *rewriter) checkNamed() error {
	if have := m.tick(); m.named > have {
		return fmt.Errorf("function %d does not exist", m.named-1)
	}
	return nil
}

// tick is the index of the function that addTick adds.
func (m *rewriter) tick() uint32 { return m.imported + uint32(len(m.own)) }

// addTick adds the type and the entry of the function that interruption points
// call; writeCode has added its code. A module without functions has no points.
func (m *rewriter) addTick() error {
	if len(m.own) == 0 {
		return nil
	}
	index := uint32(len(m.types))
	m.bodies[wasmbin.Type] = appended(m.bodies[wasmbin.Type], len(m.types), []byte{0x60, 0, 0})
	m.bodies[wasmbin.Function] = appended(m.bodies[wasmbin.Function], len(m.own), wasmbin.AppendU32(nil, index))
	return nil
}

// appended returns the body of a section of n entries with one more.
func appended(body []byte, n int, entry []byte) []byte {
	out := wasmbin.AppendU32(nil, uint32(n)+1)
	if len(body) > 0 {
		r := wasmbin.NewReader(body)
		r.U32()
		out = append(out, body[r.Pos():]...)
	}
	return append(out, entry...)
}

// countImports counts the imported functions and globals. No host offers
// memories or tables.
func (m *rewriter) countImports() error {
	body, present := m.bodies[wasmbin.Import]
	if !present {
		return nil
	}
	imports, err := wasmbin.Imports(body)
	if err != nil {
		return err
	}
	for _, e := range imports {
		switch e.Kind {
		case wasmbin.KindFunc:
			m.imported++
		case wasmbin.KindGlobal:
			m.globals++
		case wasmbin.KindMemory, wasmbin.KindTable:
			return fmt.Errorf("%s.%s: a memory or table cannot be imported", e.Module, e.Name)
		}
	}
	return nil
}

// clampTables gives every table a maximum: table.grow is not under the
// engine's memory limit.
func (m *rewriter) clampTables() error {
	body, present := m.bodies[wasmbin.Table]
	if !present {
		return nil
	}
	r := wasmbin.NewReader(body)
	n := r.Count("tables", MaxTables)
	out := wasmbin.AppendU32(nil, uint32(n))
	for range n {
		refType := r.Byte()
		if refType != 0x70 && refType != 0x6f {
			r.Fail("table of type 0x%02x is not supported", refType)
		}
		l := r.Limits()
		if l.Min > MaxTableEntries {
			r.Fail("table of %d entries, more than %d", l.Min, MaxTableEntries)
		}
		if !l.HasMax || l.Max > MaxTableEntries {
			l.Max = MaxTableEntries
		}
		out = append(out, refType, 1)
		out = wasmbin.AppendU32(out, l.Min)
		out = wasmbin.AppendU32(out, l.Max)
	}
	r.End()
	m.bodies[wasmbin.Table] = out
	return r.Err()
}

// ensureMemory adds an empty memory to a module without one, because
// memory.grow is the way out to Go.
func (m *rewriter) ensureMemory() error {
	if body, present := m.bodies[wasmbin.MemorySec]; present {
		r := wasmbin.NewReader(body)
		n := r.Count("memories", 1)
		if n == 1 {
			r.Limits()
		}
		r.End()
		if r.Err() != nil || n == 1 {
			return r.Err()
		}
	}
	m.bodies[wasmbin.MemorySec] = []byte{1, 1, 0, 0} // one memory, at most 0 pages
	return nil
}

// addGlobals appends the stop flag and the counter.
func (m *rewriter) addGlobals() error {
	entries := []byte(nil)
	own := 0
	if body, present := m.bodies[wasmbin.Global]; present {
		r := wasmbin.NewReader(body)
		own = r.Count("globals", MaxGlobals)
		start := r.Pos()
		for range own {
			r.Byte()
			r.Byte()
			r.ConstExpr()
			if r.Err() != nil {
				return r.Err()
			}
		}
		m.named = max(m.named, r.Functions())
		entries = r.Since(start)
		if r.End(); r.Err() != nil {
			return r.Err()
		}
	}
	m.globals += uint32(own)
	out := wasmbin.AppendU32(nil, uint32(own)+2)
	out = append(out, entries...)
	out = append(out, valI32, mutable, opI32Const, 0, wasmbin.OpEnd)
	out = append(out, valI32, mutable, opI32Const)
	m.bodies[wasmbin.Global] = append(appendS32(out, Interval), wasmbin.OpEnd)
	return nil
}

// The globals that addGlobals adds.
func (m *rewriter) stop() uint32    { return m.globals }
func (m *rewriter) counter() uint32 { return m.globals + 1 }

// addExports exports the stop flag and the start function under names that the
// module does not use.
func (m *rewriter) addExports() error {
	body, present := m.bodies[wasmbin.Export]
	if !present {
		body = []byte{0}
	}
	exports, err := wasmbin.Exports(body)
	if err != nil {
		return err
	}
	taken := make(map[string]bool, len(exports))
	for _, e := range exports {
		taken[e.Name] = true
		if e.Kind == wasmbin.KindGlobal && e.Index >= m.globals {
			return fmt.Errorf("export %q: global %d does not exist", e.Name, e.Index)
		}
		if e.Kind == wasmbin.KindFunc {
			m.name(e.Index)
		}
	}
	m.exported.Stop = freeName("consentry.stop", taken)
	added := []wasmbin.ExportEntry{{Name: m.exported.Stop, Kind: wasmbin.KindGlobal, Index: m.stop()}}
	if start, present := m.bodies[wasmbin.Start]; present {
		entry, err := startExport(start, freeName("consentry.start", taken))
		if err != nil {
			return err
		}
		m.name(entry.Index)
		m.exported.Start = entry.Name
		added = append(added, entry)
		delete(m.bodies, wasmbin.Start)
	}
	m.bodies[wasmbin.Export] = appendExports(append(exports, added...))
	return nil
}

// name notes that something names a function.
func (m *rewriter) name(function uint32) {
	if function >= m.named {
		m.named = function + min(1, ^function) // no number is above the largest
	}
}

func startExport(body []byte, name string) (wasmbin.ExportEntry, error) {
	r := wasmbin.NewReader(body)
	entry := wasmbin.ExportEntry{Name: name, Kind: wasmbin.KindFunc, Index: r.U32()}
	if r.End(); r.Err() != nil {
		return entry, errors.New("start section is malformed")
	}
	return entry, nil
}

func freeName(want string, taken map[string]bool) string {
	for taken[want] {
		want += "_"
	}
	return want
}

func appendExports(list []wasmbin.ExportEntry) []byte {
	out := wasmbin.AppendU32(nil, uint32(len(list)))
	for _, e := range list {
		out = wasmbin.AppendU32(out, uint32(len(e.Name)))
		out = append(out, e.Name...)
		out = append(out, byte(e.Kind))
		out = wasmbin.AppendU32(out, e.Index)
	}
	return out
}
