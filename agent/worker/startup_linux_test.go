package worker

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

func TestConstantsIn(t *testing.T) {
	const self = "/usr/bin/consentry"
	for line, want := range map[string]mapping{
		"00400000-0165c000 r-xp 00000000 fe:00 3149                               /usr/bin/consentry": {},
		"0165c000-02c00000 r--p 0125c000 fe:00 3149                               /usr/bin/consentry": {0x165c000, 0x2c00000},
		"02c00000-02d00000 rw-p 02800000 fe:00 3149                               /usr/bin/consentry": {},
		"7f0000000000-7f0000001000 r-xp 00000000 fe:00 77                         /usr/lib/libc.so.6": {},
		"7ffd0000-7ffd2000 r-xp 00000000 00:00 0                                  [vdso]":             {},
		"": {}, "zz-1 r-xp": {}, "2-1 r-xp 0 0 0 /usr/bin/consentry": {},
	} {
		if got, ok := constantsIn(line, self); ok != (want != mapping{}) || ok && got != want {
			t.Errorf("%q: %x, %v", line, got, ok)
		}
	}
}

func TestMappingsWithOwnPagesStay(t *testing.T) {
	const smaps = `00400000-0165c000 r--p 00000000 fe:00 3149     /usr/bin/consentry
Size:              18800 kB
Anonymous:             0 kB
0165c000-02c00000 r--p 0125c000 fe:00 3149     /usr/bin/consentry
Anonymous:             4 kB
02c00000-02d00000 rw-p 02800000 fe:00 3149     /usr/bin/consentry
Anonymous:             0 kB
`
	got := readMappings(bufio.NewScanner(strings.NewReader(smaps)), "/usr/bin/consentry")
	if len(got) != 1 || got[0] != (mapping{0x400000, 0x165c000}) {
		t.Errorf("got %x", got)
	}
}

// TestForgettingTheStart goes on running afterwards.
func TestForgettingTheStart(t *testing.T) {
	if _, err := os.Stat("/proc/self/maps"); err != nil {
		t.Skip("needs /proc")
	}
	if len(constants()) == 0 {
		t.Fatal("no mapping of this program was found")
	}
	startUp()()
}
