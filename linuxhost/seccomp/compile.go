package seccomp

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
)

// Instruction is one classic BPF instruction, laid out as struct sock_filter.
type Instruction struct {
	Code   uint16
	JT, JF uint8
	K      uint32
}

// The few opcodes a filter needs.
const (
	opLoad    = 0x20 // ld  [k], absolute
	opAnd     = 0x54 // and k
	opReturn  = 0x06 // ret k
	opGoto    = 0x05 // ja  k
	opIfEqual = 0x15 // jeq k
	opIfGE    = 0x35 // jge k
)

// Offsets in struct seccomp_data; arguments are little-endian, so their low
// half comes first.
const (
	offNumber = 0
	offArch   = 4
	offArgs   = 16
)

const (
	maxInstructions = 4096 // BPF_MAXINSNS
	x32Bit          = 0x40000000
)

// span is a run of numbers with one rule.
type span struct {
	first int
	rule  Rule
}

// Compile returns the program of p for arch.
func (p Policy) Compile(arch Arch) ([]Instruction, error) {
	byNumber, err := p.rules(arch)
	if err != nil {
		return nil, err
	}
	code := []Instruction{
		{Code: opLoad, K: offArch},
		{Code: opIfEqual, K: arch.audit(), JT: 1},
		result(Kill),
		{Code: opLoad, K: offNumber},
	}
	if arch == AMD64 { // x32 shares the architecture and sets this bit; -1 is no number either
		code = append(code, Instruction{Code: opIfGE, K: x32Bit, JF: 1}, result(Unknown))
	}
	code = append(code, tree(spans(byNumber))...)
	if len(code) > maxInstructions {
		return nil, fmt.Errorf("filter has %d instructions, more than %d", len(code), maxInstructions)
	}
	return code, nil
}

// spans joins neighbours with the same rule; numbers nobody named are Unknown.
func spans(byNumber map[int]Rule) []span {
	unknown := Rule{Else: Unknown}
	out := []span{{0, unknown}}
	add := func(first int, rule Rule) {
		last := &out[len(out)-1]
		switch {
		case reflect.DeepEqual(last.rule, rule):
		case last.first == first:
			last.rule = rule
		default:
			out = append(out, span{first, rule})
		}
	}
	for _, nr := range slices.Sorted(maps.Keys(byNumber)) {
		add(nr, byNumber[nr])
		if _, named := byNumber[nr+1]; !named {
			add(nr+1, unknown)
		}
	}
	return out
}

// tree searches the number in the accumulator by halves. A jump reaches 255
// instructions, so the step over a long left half is a goto.
func tree(s []span) []Instruction {
	if len(s) == 1 {
		return leaf(s[0].rule)
	}
	mid := len(s) / 2
	left, right := tree(s[:mid]), tree(s[mid:])
	at := uint32(s[mid].first) //nolint:gosec // a system call number
	var code []Instruction
	if len(left) <= 255 {
		code = append(code, Instruction{Code: opIfGE, K: at, JT: uint8(len(left))})
	} else {
		code = append(code,
			Instruction{Code: opIfGE, K: at, JF: 1},
			Instruction{Code: opGoto, K: uint32(len(left))}) //nolint:gosec // bounded by maxInstructions
	}
	return append(append(code, left...), right...)
}

func leaf(rule Rule) []Instruction {
	var code []Instruction
	for _, c := range rule.Cases {
		code = append(code, branch(c)...)
	}
	return append(code, result(rule.Else))
}

// branch runs c's tests in order; the first that fails skips to its end.
func branch(c Case) []Instruction {
	var code []Instruction
	left := 0 // instructions after the one that is written
	for _, test := range c.When {
		left += test.size()
	}
	left++ // the result
	for _, test := range c.When {
		code = append(code, Instruction{Code: opLoad, K: offArgs + 8*uint32(test.Arg)}) //nolint:gosec // 0 to 5
		if test.Mask != 0 {
			code = append(code, Instruction{Code: opAnd, K: test.Mask})
		}
		left -= test.size()
		jump := Instruction{Code: opIfEqual, K: test.Value}
		if test.Not {
			jump.JT = uint8(left) //nolint:gosec // a case has a handful of tests
		} else {
			jump.JF = uint8(left) //nolint:gosec // a case has a handful of tests
		}
		code = append(code, jump)
	}
	return append(code, result(c.Then))
}

func (t Test) size() int {
	if t.Mask != 0 {
		return 3
	}
	return 2
}

func result(a Action) Instruction { return Instruction{Code: opReturn, K: uint32(a)} }
