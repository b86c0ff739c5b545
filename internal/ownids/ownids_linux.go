package ownids

import (
	"fmt"
	"math"
	"os"
	"strings"
)

// UserEnv is set (to anything) in a process that a user's program put into a
// user namespace of its own: id 0 there is that user, not the machine's root.
const UserEnv = "CONSENTRY_ROOTLESS"

// Range is a line of an id map: Count ids from Inside are those from Outside on.
type Range struct{ Inside, Outside, Count uint32 }

// Space is what an id map gives.
type Space struct{ Ranges []Range }

// Here reads the user ids of this process. Its group ids are taken to be alike.
func Here() (Space, error) {
	raw, err := os.ReadFile("/proc/self/uid_map")
	if err != nil {
		return Space{}, fmt.Errorf("read own ids: %w", err)
	}
	return parse(string(raw))
}

func parse(text string) (s Space, err error) {
	for line := range strings.Lines(text) {
		var r Range
		if _, err := fmt.Sscan(line, &r.Inside, &r.Outside, &r.Count); err != nil {
			return Space{}, fmt.Errorf("read own ids: %q: %w", line, err)
		}
		s.Ranges = append(s.Ranges, r)
	}
	return s, nil
}

// Whole says whether this is the machine's own user namespace. Only there may
// mounts have mapped ids.
func (s Space) Whole() bool {
	return len(s.Ranges) == 1 && s.Ranges[0] == Range{0, 0, math.MaxUint32}
}

// Count is how many ids there are from 0 on without a gap.
func (s Space) Count() uint32 {
	next := uint32(0)
	for more := true; more; {
		more = false
		for _, r := range s.Ranges {
			if r.Inside == next && r.Count > 0 {
				next, more = next+r.Count, next+r.Count > next
			}
		}
	}
	return next
}

// Outside is what id is called one user namespace above, false where it is
// nobody's.
func (s Space) Outside(id uint32) (uint32, bool) {
	for _, r := range s.Ranges {
		if id >= r.Inside && id-r.Inside < r.Count {
			return r.Outside + (id - r.Inside), true
		}
	}
	return 0, false
}

// User is the id of the user this process works for: its own, or the one that
// became id 0 of a namespace.
func User() int {
	if os.Getenv(UserEnv) == "" {
		return os.Getuid()
	}
	s, err := Here()
	if err != nil || s.Whole() {
		return os.Getuid()
	}
	if id, known := s.Outside(uint32(os.Getuid())); known { //nolint:gosec // an id
		return int(id)
	}
	return os.Getuid()
}

// MayGive says whether files can be given to ids other than one's own.
func MayGive() bool {
	if os.Geteuid() != 0 {
		return false
	}
	s, err := Here()
	return err == nil && s.Count() > 1
}
