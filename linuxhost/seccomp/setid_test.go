package seccomp

import "testing"

func TestNoSetID(t *testing.T) {
	for name, arch := range archs {
		m := modelOf(AppNoSetID(), arch)
		for _, c := range []struct {
			call string
			args [6]uint64
			want Action
		}{
			{"fchmod", [6]uint64{3, 0o755}, Allow},
			{"fchmod", [6]uint64{3, 0o1777}, Allow},
			{"fchmod", [6]uint64{3, 0o4755}, Refuse},
			{"fchmod", [6]uint64{3, 0o2755}, Refuse},
			{"fchmod", [6]uint64{3, 0xffffffff00000000 | 0o4755}, Refuse},
			{"fchmodat", [6]uint64{3, 0, 0o6755}, Refuse},
			{"fchmodat2", [6]uint64{3, 0, 0o4755}, Refuse},
			{"mknodat", [6]uint64{3, 0, 0o104755}, Refuse},
			{"openat", [6]uint64{3, 0, 0, 0o4755}, Allow}, // the mode is not looked at
			{"openat", [6]uint64{3, 0, openCreate | 1, 0o4755}, Refuse},
			{"openat", [6]uint64{3, 0, openTmpfile | 1, 0o2755}, Refuse},
			{"openat", [6]uint64{3, 0, openCreate | 1, 0o644}, Allow},
			{"openat2", [6]uint64{}, Unknown},
		} {
			d := data{nr: uint32(numbers[c.call][arch]), arch: arch.audit(), args: c.args}
			if got := m.says(d); got != c.want {
				t.Errorf("%s %s%v: %#x, want %#x", name, c.call, c.args, got, c.want)
			}
		}
	}
}
