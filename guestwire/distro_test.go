package guestwire

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

func TestDistroRun(t *testing.T) {
	for _, run := range []DistroRun{
		{ID: "a", Layers: []string{"l"}},
		{ID: "run1", Layers: []string{"00aa.ext4", "b-1"}, Keep: true, Volumes: []string{"v", "w"}},
	} {
		got, err := ParseDistroRun(run.Args())
		if err != nil || !reflect.DeepEqual(got, run) {
			t.Errorf("%+v became %+v, %v", run, got, err)
		}
	}
	many := strings.Repeat(" -layer l", MaxDistroNames+1)
	for _, line := range []string{
		"", "-id a", "-layer l", "-id ../a -layer l", "-id a -layer .l", "-id a -layer l/l", "-id a -layer L", "-id a -layer l -volume ..",
		"-id a -layer l more", "-id a -layer l -nosuch", "-id a" + many, "-id a -layer " + strings.Repeat("l", 129),
	} {
		if got, err := ParseDistroRun(strings.Fields(line)); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
}

// FuzzDistroRun: what is taken names files in one folder, and goes through a
// command line unchanged.
func FuzzDistroRun(f *testing.F) {
	f.Add("-id run1 -layer 00aa.ext4 -volume v -keep")
	f.Add("-id a -layer=l -- x")
	f.Fuzz(func(t *testing.T, line string) {
		run, err := ParseDistroRun(strings.Split(line, " "))
		if err != nil {
			return
		}
		for _, name := range append(append([]string{run.ID}, run.Layers...), run.Volumes...) {
			if strings.ContainsAny(name, "/\\ \"'$%") || strings.HasPrefix(name, ".") || name == "" {
				t.Errorf("a name is %q", name)
			}
		}
		again, err := ParseDistroRun(run.Args())
		if err != nil || !reflect.DeepEqual(again, run) {
			t.Errorf("%+v became %+v, %v", run, again, err)
		}
	})
}
