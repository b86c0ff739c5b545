package seccomp

import "slices"

// Bits of a file's mode that lend its owner's rights to who runs it, and flags
// of open with which the mode counts.
const (
	setUID = 0o4000
	setGID = 0o2000

	openCreate  = 0o100
	openTmpfile = 0o20000000
)

// modes are the calls that set a mode, and which argument it is.
var modes = []struct {
	call string
	arg  int
}{
	{"chmod", 1}, {"fchmod", 1}, {"fchmodat", 2}, {"fchmodat2", 2}, {"creat", 1}, {"mknod", 1}, {"mknodat", 2},
}

// opens are those that set one when they make a file, and which argument the
// flags are; the mode comes after them.
var opens = []struct {
	call string
	arg  int
}{{"open", 1}, {"openat", 2}}

// AppNoSetID is App for a sandbox that can write to a folder of the user's: no
// file may be made set-uid or set-gid, as outside it would lend its owner's
// rights to whoever runs it.
func AppNoSetID() Policy {
	names := []string{"openat2"}
	var p Policy
	for _, m := range modes {
		names = append(names, m.call)
		p = append(p, Group{"no mode that lends the owner's rights", []string{m.call}, Rule{Cases: lending(m.arg), Else: Allow}})
	}
	for _, o := range opens {
		names = append(names, o.call)
		var cases []Case
		for _, makes := range []uint32{openCreate, openTmpfile} {
			flag := Test{Arg: o.arg, Mask: makes, Value: makes}
			cases = append(cases, lending(o.arg+1, flag)...)
		}
		p = append(p, Group{"no new file with such a mode", []string{o.call}, Rule{Cases: cases, Else: Allow}})
	}
	p = append(p, absent("its mode lies in memory, where a filter cannot see it: libc falls back to openat", "openat2"))
	return append(App().without(names), p...)
}

// lending are the cases of a mode in an argument, when what comes before holds.
func lending(arg int, when ...Test) []Case {
	var cases []Case
	for _, bit := range []uint32{setUID, setGID} {
		cases = append(cases, Case{append(slices.Clone(when), Test{Arg: arg, Mask: bit, Value: bit}), Refuse})
	}
	return cases
}

// without takes calls out of a table.
func (p Policy) without(names []string) Policy {
	var rest Policy
	for _, g := range p {
		g.Calls = slices.DeleteFunc(slices.Clone(g.Calls), func(name string) bool { return slices.Contains(names, name) })
		rest = append(rest, g)
	}
	return rest
}
