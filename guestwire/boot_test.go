package guestwire

import "testing"

func TestBootLine(t *testing.T) {
	for _, b := range []BootLine{{}, {Port: ControlVsock, Disks: 3}, {Port: 1<<32 - 1}} {
		got, err := ParseBootLine("quiet panic=-1 " + b.String() + " lsm=landlock")
		if err != nil || got != b {
			t.Errorf("%+v became %+v, %v", b, got, err)
		}
	}
	for _, line := range []string{"consentry.vsock=x", "consentry.vsock=4294967296", "consentry.disks=-1", "consentry.disks=65", "consentry.disks="} {
		if b, err := ParseBootLine(line); err == nil {
			t.Errorf("%q is %+v", line, b)
		}
	}
}
