package agent

import (
	"errors"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

func TestIsolationFor(t *testing.T) {
	lacks := []sandbox.Wall{{Name: "eBPF LSM", Required: true}}
	none := errors.New("no QEMU")
	for _, c := range []struct {
		asked string
		s     surroundings
		want  string // "" for an error
	}{
		{"", surroundings{}, isolationNative},
		{"auto", surroundings{fast: true}, isolationNative},
		{"", surroundings{native: lacks, fast: true}, isolationVM},
		{"auto", surroundings{native: lacks, fast: true}, isolationVM},
		{"auto", surroundings{native: lacks}, isolationNative},                       // an emulated processor is a choice
		{"auto", surroundings{native: lacks, fast: true, vm: none}, isolationNative}, // and the missing wall is said
		{"native", surroundings{native: lacks, fast: true}, isolationNative},
		{"vm", surroundings{}, isolationVM},
		{"vm", surroundings{vm: none, fast: true}, ""},
		{"VM", surroundings{}, ""},
		{"none", surroundings{}, ""},
	} {
		got, err := isolationFor(c.asked, c.s)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q with %+v: %q, %v; want %q", c.asked, c.s, got, err, c.want)
		}
	}
}
