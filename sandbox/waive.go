package sandbox

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The walls that a user may do without, for one app and on their own word
// (`--waive`). Every other required wall stands or the app does not start.
const (
	WaiveCgroup = "cgroup-limits" // rlimits remain
	WaiveLSM    = "ebpf-lsm"      // the mount namespace, Landlock and the router remain
)

var waivable = []string{WaiveCgroup, WaiveLSM}

// ErrWall is wrapped by errors about a required wall that does not stand.
var ErrWall = errors.New("a required wall does not stand")

// CheckWaived says which name is no wall that can be waived.
func CheckWaived(names []string) error {
	for _, name := range names {
		if !slices.Contains(waivable, name) {
			return fmt.Errorf("%w: no wall %q can be waived, only %s", ErrInvalid, name, strings.Join(waivable, ", "))
		}
	}
	return nil
}

// Waive marks the walls of p that were waived: those named by waived, which
// may be waived, and do not stand. A wall that stands needs no waiver.
func (p *Posture) Waive(waived []string) {
	for i := range p.Walls {
		w := &p.Walls[i]
		w.Waived = !w.Stands && w.Waiver != "" && slices.Contains(waived, w.Waiver)
	}
}

// Missing names the required walls that neither stand nor were waived; nil
// means that the app may run.
func (p Posture) Missing() error {
	var errs error
	for _, w := range p.Walls {
		if !w.Required || w.Stands || w.Waived {
			continue
		}
		err := fmt.Errorf("%w: %s: %s", ErrWall, w.Name, w.Detail)
		if w.Waiver != "" {
			err = fmt.Errorf("%w; to run this app without it: --waive %s", err, w.Waiver)
		}
		errs = errors.Join(errs, err)
	}
	return errs
}
