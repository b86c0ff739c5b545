package seccomp

import (
	"fmt"
)

// Arch is one of the two architectures Consentry runs on.
type Arch int

// The architectures, in the order of the number table.
const (
	AMD64 Arch = iota
	ARM64
)

// audit is what the kernel writes into seccomp_data.arch.
func (a Arch) audit() uint32 {
	if a == ARM64 {
		return 0xC00000B7 // AUDIT_ARCH_AARCH64
	}
	return 0xC000003E // AUDIT_ARCH_X86_64
}

// Action is what happens to a call. The zero value refuses.
type Action uint32

// The errno values are the same on both architectures.
const (
	Unknown Action = 0x00050000 | 38 // ENOSYS: C libraries fall back to an older call
	Refuse  Action = 0x00050000 | 1  // EPERM
	NoSuch  Action = 0x00050000 | 97 // EAFNOSUPPORT
	Kill    Action = 0x80000000      // the whole process, with SIGSYS
	Allow   Action = 0x7fff0000
)

// Test is one comparison of the low 32 bits of an argument. The kernel takes
// these arguments as 32-bit values and ignores the rest, so a filter that
// looked at 64 bits could be walked around (CVE-2019-7303).
type Test struct {
	Arg   int    // 0 to 5
	Mask  uint32 // applied first; 0 means all bits
	Value uint32
	Not   bool // holds when the values differ
}

// Case is a row of an argument rule: when every test holds, Then happens.
type Case struct {
	When []Test
	Then Action
}

// Rule says what happens to one call: the first case that holds, else Else.
type Rule struct {
	Cases []Case
	Else  Action
}

// Group is one paragraph of a table: calls that are treated alike, and why.
type Group struct {
	Why   string
	Calls []string
	Rule  Rule
}

// Policy is a whole table.
type Policy []Group

// rules returns the rule of each number that arch has.
func (p Policy) rules(arch Arch) (map[int]Rule, error) {
	byNumber := map[int]Rule{}
	for _, group := range p {
		for _, name := range group.Calls {
			pair, known := numbers[name]
			if !known {
				return nil, fmt.Errorf("no system call is named %q", name)
			}
			nr := pair[arch]
			if nr == none {
				continue
			}
			if _, twice := byNumber[nr]; twice {
				return nil, fmt.Errorf("system call %q is in two groups", name)
			}
			byNumber[nr] = group.Rule
		}
	}
	return byNumber, nil
}
