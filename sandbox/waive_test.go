package sandbox

import (
	"errors"
	"strings"
	"testing"
)

func TestOnlySomeWallsCanBeWaived(t *testing.T) {
	if err := CheckWaived([]string{WaiveLSM, WaiveCgroup}); err != nil {
		t.Error(err)
	}
	for _, name := range []string{"seccomp", "user namespace", "", "EBPF-LSM", "all", "*"} {
		if err := CheckWaived([]string{WaiveLSM, name}); !errors.Is(err, ErrInvalid) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestMissingWalls(t *testing.T) {
	wall := func(name, waiver string, required, stands bool) Wall {
		return Wall{Name: name, Waiver: waiver, Required: required, Stands: stands, Detail: "why"}
	}
	for name, c := range map[string]struct {
		walls  []Wall
		waived []string
		want   string // in the error; "" for none
	}{
		"all stand":             {[]Wall{wall("a", "", true, true), wall("b", WaiveLSM, true, true)}, nil, ""},
		"one is not required":   {[]Wall{wall("a", "", false, false)}, nil, ""},
		"one is missing":        {[]Wall{wall("a", "", true, false)}, nil, "a: why"},
		"it could be waived":    {[]Wall{wall("a", WaiveLSM, true, false)}, nil, "--waive ebpf-lsm"},
		"it was waived":         {[]Wall{wall("a", WaiveLSM, true, false)}, []string{WaiveLSM}, ""},
		"another was waived":    {[]Wall{wall("a", WaiveLSM, true, false)}, []string{WaiveCgroup}, "--waive ebpf-lsm"},
		"it cannot be waived":   {[]Wall{wall("a", "", true, false)}, []string{"", "a", WaiveLSM}, "a: why"},
		"one of two was waived": {[]Wall{wall("a", WaiveLSM, true, false), wall("b", "", true, false)}, []string{WaiveLSM}, "b: why"},
	} {
		t.Run(name, func(t *testing.T) {
			p := Posture{Walls: c.walls}
			p.Waive(c.waived)
			err := p.Missing()
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Fatalf("%v, want %q", err, c.want)
			}
			if err != nil && !errors.Is(err, ErrWall) {
				t.Errorf("%v is no ErrWall", err)
			}
		})
	}
}

func TestAStandingWallIsNotWaived(t *testing.T) {
	p := Posture{Walls: []Wall{{Name: "a", Waiver: WaiveLSM, Required: true, Stands: true, Waived: true}}}
	p.Waive([]string{WaiveLSM})
	if p.Walls[0].Waived {
		t.Error("a wall that stands says it was waived")
	}
}
