package rewrite

import (
	"fmt"

	"github.com/consentry/consentry/wasmhost/wasmbin"
)

// Interval is the number of ticks between two looks at the stop flag. A tick is
// at most chargeUnit instructions and one round of a loop, so that a stop takes
// well under 50 ms, and the trip through Go costs nothing that can be measured.
const Interval = 16_384

// Bounds of a module. What real compilers emit is far below them.
const (
	MaxModule       = 128 << 20 // bytes
	MaxFunctions    = 200_000
	MaxGlobals      = 100_000
	MaxTables       = 16
	MaxTableEntries = 1 << 20 // of one table
	maxBody         = 7_654_321
	maxCode         = 2 * MaxModule
	maxLocals       = 50_000
	maxLocalGroups  = maxLocals
	// maxTotalLocals bounds what the compiler does for locals in one module:
	// a group of 50,000 takes three bytes to write.
	maxTotalLocals = 10_000_000
	maxDepth       = 10_000 // of nested blocks
	// maxFree bounds the instructions of a function that is not charged where
	// it is called, with those of the functions that it calls.
	maxFree    = 1_024
	chargeUnit = 256 // instructions that count as a tick
	bulkShift  = 8   // 2^n bytes or entries of a bulk operation count as a tick
)

// Names are the exports that were added.
type Names struct {
	Stop  string // a mutable i32 global; anything but 0 stops the module
	Start string // the module's own start function, "" if it has none
}

// Result is a rewritten module.
type Result struct {
	Module []byte
	Names  Names
	Checks int // interruption points inserted
}

// Rewrite returns a copy of module with interruption points.
func Rewrite(module []byte) (Result, error) {
	if len(module) > MaxModule {
		return Result{}, fmt.Errorf("module is %d bytes, more than %d", len(module), MaxModule)
	}
	sections, err := wasmbin.Sections(module)
	if err != nil {
		return Result{}, err
	}
	m := &rewriter{bodies: map[wasmbin.SectionID][]byte{}}
	for _, s := range sections {
		named, err := wasmbin.Check(s.ID, s.Body)
		if err != nil {
			return Result{}, err
		}
		m.named = max(m.named, named)
		if s.ID != wasmbin.Custom {
			m.bodies[s.ID] = s.Body
		}
	}
	if err := m.run(); err != nil {
		return Result{}, err
	}
	return Result{Module: m.bytes(len(module)), Names: m.exported, Checks: m.checks}, nil
}

// rewriter holds the section bodies, which run replaces one by one.
type rewriter struct {
	bodies   map[wasmbin.SectionID][]byte
	types    []wasmbin.FuncType
	imported uint32     // functions
	own      []function // functions of the module itself
	named    uint32     // functions that there must be for what names them
	globals  uint32     // of the module itself, imported ones included
	exported Names
	checks   int
}

func (m *rewriter) run() error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"type section", m.readTypes},
		{"import section", m.countImports},
		{"function section", m.readFunctions},
		{"table section", m.clampTables},
		{"memory section", m.ensureMemory},
		{"global section", m.addGlobals},
		{"export section", m.addExports},
		{"code section", m.readCode},
		{"functions", m.checkNamed},
		{"code section", m.writeCode},
		{"function section", m.addTick},
	}
	for _, step := range steps {
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// bytes writes the module out, without custom sections: code offsets in them no
// longer hold, and the engine would read names by counts that nobody checked.
func (m *rewriter) bytes(sizeHint int) []byte {
	out := make([]byte, 0, sizeHint+sizeHint/4)
	out = append(out, wasmbin.Header...)
	for _, id := range wasmbin.Order {
		if body, present := m.bodies[id]; present {
			out = appendSection(out, id, body)
		}
	}
	return out
}

func appendSection(out []byte, id wasmbin.SectionID, body []byte) []byte {
	out = append(out, byte(id))
	out = wasmbin.AppendU32(out, uint32(len(body)))
	return append(out, body...)
}
