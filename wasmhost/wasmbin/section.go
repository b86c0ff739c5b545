package wasmbin

import (
	"errors"
	"fmt"
)

// SectionID names a section.
type SectionID byte

// The sections of a core module.
const (
	Custom    SectionID = 0
	Type      SectionID = 1
	Import    SectionID = 2
	Function  SectionID = 3
	Table     SectionID = 4
	MemorySec SectionID = 5
	Global    SectionID = 6
	Export    SectionID = 7
	Start     SectionID = 8
	Element   SectionID = 9
	Code      SectionID = 10
	Data      SectionID = 11
	DataCount SectionID = 12
)

// Order is the order in which the sections stand in a module.
var Order = []SectionID{Type, Import, Function, Table, MemorySec, Global, Export, Start, Element, DataCount, Code, Data}

// Header is the magic number and version of a core module.
const Header = "\x00asm\x01\x00\x00\x00"

// maxSections bounds sections, custom ones included.
const maxSections = 10_000

// Section is one section and its content.
type Section struct {
	ID   SectionID
	Name string // of a custom section
	Body []byte
}

// Sections splits a module. Each section but custom ones appears once, and in
// order.
func Sections(module []byte) ([]Section, error) {
	if len(module) < len(Header) || string(module[:len(Header)]) != Header {
		return nil, errors.New("no module header")
	}
	r := NewReader(module)
	r.Bytes(len(Header))
	var all []Section
	last := 0
	for r.Left() > 0 {
		s := Section{ID: SectionID(r.Byte())}
		s.Body = r.Bytes(r.Count("bytes in a section", len(module)))
		if err := s.place(&last); err != nil {
			return nil, err
		}
		if all = append(all, s); len(all) > maxSections {
			return nil, fmt.Errorf("more than %d sections", maxSections)
		}
	}
	return all, r.Err()
}

// place checks that s may follow the section of rank *last.
func (s *Section) place(last *int) error {
	if s.ID == Custom {
		r := NewReader(s.Body)
		s.Name = r.Name()
		s.Body = r.Bytes(r.Left())
		return r.Err()
	}
	rank := s.ID.rank()
	if rank == 0 {
		return fmt.Errorf("section %d is not one we know", s.ID)
	}
	if rank <= *last {
		return fmt.Errorf("section %d stands in the wrong place", s.ID)
	}
	*last = rank
	return nil
}

func (id SectionID) rank() int {
	for i, other := range Order {
		if id == other {
			return i + 1
		}
	}
	return 0
}
