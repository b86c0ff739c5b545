//go:build linux

package bpf

import (
	"os"
	"strings"
	"testing"
)

func TestParseMount(t *testing.T) {
	for text, want := range map[string]mountLine{
		"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue": {36, 98 << 20, "/mnt2", Read | Write | Exec},
		"7 1 0:5 / /a\\040b ro,noexec - tmpfs x rw":                                      {7, 5, "/a b", Read},
		"8 1 0:6 / /sys rw,nosuid - sysfs sysfs ro":                                      {8, 6, "/sys", Read | Exec},
	} {
		if got, err := parseMount(text); err != nil || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "a b c d e f - g", "1 2 3:4 / /x", "1 2 3 / /x rw - t s rw", "-1 2 3:4 / /x rw - t s rw"} {
		if got, err := parseMount(text); err == nil {
			t.Errorf("%q is %+v", text, got)
		}
	}
	if _, err := parseMounts(strings.NewReader(strings.Repeat("7 1 0:5 / /a rw - tmpfs x rw\n", maxMounts+1))); err == nil {
		t.Error("mounts have no bound")
	}
}

// TestMountsOf finds the root of this very process.
func TestMountsOf(t *testing.T) {
	mounts, err := MountsOf(os.Getpid())
	if os.Geteuid() != 0 {
		t.Skip("needs root to look through /proc/PID/root")
	}
	if err != nil || len(mounts) == 0 {
		t.Fatalf("%v, %v", mounts, err)
	}
	seen := map[uint64]bool{}
	for _, m := range mounts {
		if m.ID == 0 || seen[m.ID] || m.Rights&Read == 0 {
			t.Errorf("mount %+v", m)
		}
		seen[m.ID] = true
	}
}
