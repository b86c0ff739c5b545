//go:build unix && !linux

package ninep

import (
	"syscall"
	"time"
)

// actAs changes nothing: agents here run as the user whose files they are.
func actAs(identity) error { return nil }

func timesOf(st *syscall.Stat_t) (accessed, changed time.Time) {
	return time.Unix(st.Atimespec.Unix()), time.Unix(st.Ctimespec.Unix())
}
