package seccomp

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"
)

// data is struct seccomp_data.
type data struct {
	nr   uint32
	arch uint32
	args [6]uint64
}

func (d data) bytes() []byte {
	b := make([]byte, 64)
	binary.LittleEndian.PutUint32(b[0:], d.nr)
	binary.LittleEndian.PutUint32(b[4:], d.arch)
	for i, a := range d.args {
		binary.LittleEndian.PutUint64(b[16+8*i:], a)
	}
	return b
}

// interpret runs a program as the kernel does; steps is its cost.
func interpret(t *testing.T, code []Instruction, d data) (action Action, steps int) {
	t.Helper()
	input := d.bytes()
	var acc uint32
	for pc := 0; pc < len(code); pc++ {
		steps++
		in := code[pc]
		switch in.Code {
		case opLoad:
			if in.K%4 != 0 || in.K > 60 {
				t.Fatalf("instruction %d loads from %d", pc, in.K)
			}
			acc = binary.LittleEndian.Uint32(input[in.K:])
		case opAnd:
			acc &= in.K
		case opGoto:
			pc += int(in.K)
		case opIfEqual:
			pc += jump(acc == in.K, in)
		case opIfGE:
			pc += jump(acc >= in.K, in)
		case opReturn:
			return Action(in.K), steps
		default:
			t.Fatalf("instruction %d has opcode %#x", pc, in.Code)
		}
	}
	t.Fatalf("program runs off its end for %+v", d)
	return 0, 0
}

func jump(taken bool, in Instruction) int {
	if taken {
		return int(in.JT)
	}
	return int(in.JF)
}

// model says what a policy means, without any program.
type model struct {
	arch  Arch
	rules map[uint32]Rule
}

func modelOf(p Policy, arch Arch) model {
	m := model{arch, map[uint32]Rule{}}
	for _, group := range p {
		for _, name := range group.Calls {
			if nr := numbers[name][arch]; nr != none {
				m.rules[uint32(nr)] = group.Rule
			}
		}
	}
	return m
}

func (m model) says(d data) Action {
	if d.arch != m.arch.audit() {
		return Kill
	}
	rule, named := m.rules[d.nr]
	if !named {
		return Unknown
	}
	for _, c := range rule.Cases {
		if !slices.ContainsFunc(c.When, func(test Test) bool { return !holds(test, d) }) {
			return c.Then
		}
	}
	return rule.Else
}

func holds(test Test, d data) bool {
	got := uint32(d.args[test.Arg])
	if test.Mask != 0 {
		got &= test.Mask
	}
	return (got == test.Value) != test.Not
}

var policies = map[string]Policy{"app": App(), "app without set-id": AppNoSetID(), "worker": Worker(false), "wasm worker": Worker(true)}

var archs = map[string]Arch{"amd64": AMD64, "arm64": ARM64}

func eachProgram(t *testing.T, f func(t *testing.T, p Policy, arch Arch, code []Instruction)) {
	for policyName, p := range policies {
		for archName, arch := range archs {
			t.Run(policyName+" "+archName, func(t *testing.T) {
				code, err := p.Compile(arch)
				if err != nil {
					t.Fatal(err)
				}
				f(t, p, arch, code)
			})
		}
	}
}

// interesting are argument values around every comparison of the tables, also
// with bits set above the 32 that the kernel reads.
func interesting() []uint64 {
	low := []uint64{0, 1, 2, 3, 4, 5, 7, 8, 10, 11, 16, 17, 38, 40, 44, 0x80, 0x10000, 0x10000000, 0x3d0f00,
		0x00020000, 0x40000000, 0x7e020080, 0x5401, 0x5412, 0x541B, 0x541C, 0x5413, 0x80001, 0x80802, 0x80003, 0xffffffff, 0x7fffffff}
	all := slices.Clone(low)
	for _, v := range low {
		all = append(all, v|1<<32, v|0xdeadbeef<<32)
	}
	return all
}

func TestEveryNumberAgainstTheModel(t *testing.T) {
	eachProgram(t, func(t *testing.T, p Policy, arch Arch, code []Instruction) {
		worst, means := 0, modelOf(p, arch)
		check := func(d data) {
			got, steps := interpret(t, code, d)
			if want := means.says(d); got != want {
				t.Fatalf("number %d, arguments %#x: program says %#x, table says %#x", d.nr, d.args, got, want)
			}
			worst = max(worst, steps)
		}
		values := interesting()
		for nr := uint32(0); nr < 1024; nr++ {
			for i, a := range values {
				b := values[(i*7+int(nr))%len(values)]
				check(data{nr: nr, arch: arch.audit(), args: [6]uint64{a, b, a, b, a, b}})
				check(data{nr: nr, arch: arch.audit(), args: [6]uint64{b, a, 0, a, 0, a}})
			}
		}
		for _, nr := range []uint32{1 << 20, x32Bit - 1, x32Bit, x32Bit + 59, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
			check(data{nr: nr, arch: arch.audit()})
		}
		t.Logf("%d instructions, at most %d of them for one call", len(code), worst)
		if worst > 60 {
			t.Errorf("a call costs %d instructions: the tree is not balanced", worst)
		}
	})
}

func TestOtherArchitecturesAreKilled(t *testing.T) {
	const i386, arm, riscv = 0x40000003, 0x40000028, 0xC00000F3
	eachProgram(t, func(t *testing.T, _ Policy, arch Arch, code []Instruction) {
		for _, other := range []uint32{i386, arm, riscv, 0, AMD64.audit(), ARM64.audit()} {
			for nr := uint32(0); nr < 1024; nr++ {
				got, _ := interpret(t, code, data{nr: nr, arch: other})
				if (got == Kill) != (other != arch.audit()) {
					t.Fatalf("architecture %#x, number %d: %#x", other, nr, got)
				}
			}
		}
	})
}

func TestX32IsUnknown(t *testing.T) {
	eachProgram(t, func(t *testing.T, _ Policy, arch Arch, code []Instruction) {
		for nr := uint32(0); nr < 1024; nr++ {
			got, _ := interpret(t, code, data{nr: x32Bit + nr, arch: arch.audit()})
			if got != Unknown {
				t.Fatalf("x32 number %d: %#x", nr, got)
			}
		}
	})
}

// TestMeaning says by hand, apart from the tables, what an app gets for the
// calls that matter most.
func TestMeaning(t *testing.T) {
	const high = 0xffff << 32
	for _, c := range []struct {
		call string
		args [6]uint64
		want Action
	}{
		{"openat", [6]uint64{}, Allow},
		{"mount", [6]uint64{}, Refuse},
		{"move_mount", [6]uint64{}, Refuse},
		{"pivot_root", [6]uint64{}, Refuse},
		{"bpf", [6]uint64{}, Refuse},
		{"ptrace", [6]uint64{}, Refuse},
		{"open_by_handle_at", [6]uint64{}, Refuse},
		{"keyctl", [6]uint64{}, Refuse},
		{"finit_module", [6]uint64{}, Refuse},
		{"userfaultfd", [6]uint64{}, Refuse},
		{"io_uring_setup", [6]uint64{}, Unknown},
		{"clone3", [6]uint64{}, Unknown},
		{"clone", [6]uint64{0x3d0f00}, Allow},
		{"clone", [6]uint64{0x10000000 | 17}, Refuse},
		{"clone", [6]uint64{0x20000000 | high}, Refuse},
		{"unshare", [6]uint64{0x10000000}, Refuse},
		{"unshare", [6]uint64{0x80}, Refuse},
		{"unshare", [6]uint64{0x400}, Allow},
		{"ioctl", [6]uint64{0, 0x5413}, Allow},
		{"ioctl", [6]uint64{0, 0x5412}, Refuse},
		{"ioctl", [6]uint64{0, 0x5412 | high}, Refuse},
		{"ioctl", [6]uint64{0, 0x541C | high}, Refuse},
		{"socket", [6]uint64{1, 1, 0}, Allow},
		{"socket", [6]uint64{2, 0x80801, 0}, Allow},
		{"socket", [6]uint64{2, 3, 1}, Refuse},
		{"socket", [6]uint64{10, 0x80003, 58}, Refuse},
		{"socket", [6]uint64{16, 3, 0}, Allow},
		{"socket", [6]uint64{16, 3, 9}, Refuse},
		{"socket", [6]uint64{17, 3, 0}, NoSuch},
		{"socket", [6]uint64{17 | high, 3, 0}, NoSuch},
		{"socket", [6]uint64{38, 5, 0}, NoSuch},
		{"socket", [6]uint64{40, 1, 0}, NoSuch},
		{"socket", [6]uint64{44, 3, 0}, NoSuch},
		{"personality", [6]uint64{0xffffffff}, Allow},
		{"personality", [6]uint64{0x0400000}, Refuse},
	} {
		for archName, arch := range archs {
			t.Run(fmt.Sprintf("%s %#x %s", c.call, c.args, archName), func(t *testing.T) {
				code, err := App().Compile(arch)
				if err != nil {
					t.Fatal(err)
				}
				nr := numbers[c.call][arch]
				got, _ := interpret(t, code, data{nr: uint32(nr), arch: arch.audit(), args: c.args})
				if got != c.want {
					t.Fatalf("got %#x, want %#x", got, c.want)
				}
			})
		}
	}
}

// TestEveryCallHasAReason: no call of the kernel's tables is without a
// decision in the app's table.
func TestEveryCallHasAReason(t *testing.T) {
	named := map[string]bool{}
	for _, group := range App() {
		if group.Why == "" {
			t.Errorf("%v are treated without a reason", group.Calls)
		}
		for _, name := range group.Calls {
			named[name] = true
		}
	}
	for name := range numbers {
		if !named[name] {
			t.Errorf("nobody decided about %s", name)
		}
	}
}

func TestMistakesInATable(t *testing.T) {
	for name, p := range map[string]Policy{
		"unknown name": {allow("x", "opennat")},
		"named twice":  {allow("x", "read"), refuse("y", "read")},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := p.Compile(AMD64); err == nil {
				t.Fatal("compiled")
			}
		})
	}
}

// TestLongJumps: a table with more than 255 instructions to one side.
func TestLongJumps(t *testing.T) {
	var p Policy
	for name, pair := range numbers {
		if pair[AMD64] != none {
			p = append(p, Group{"x", []string{name}, Rule{Cases: []Case{
				{[]Test{is(0, uint32(pair[AMD64]))}, Allow}, {[]Test{{Arg: 1, Mask: 0xf0, Value: 0x10, Not: true}}, Refuse},
			}, Else: Kill}})
		}
	}
	code, err := p.Compile(AMD64)
	if err != nil {
		t.Fatal(err)
	}
	means := modelOf(p, AMD64)
	for nr := uint32(0); nr < 600; nr++ {
		for _, args := range [][6]uint64{{uint64(nr), 0}, {uint64(nr + 1), 0x10}, {uint64(nr + 1), 0x1f}, {1 << 40, 0x20}} {
			d := data{nr: nr, arch: AMD64.audit(), args: args}
			if got, _ := interpret(t, code, d); got != means.says(d) {
				t.Fatalf("number %d, arguments %v: %#x", nr, args, got)
			}
		}
	}
}
