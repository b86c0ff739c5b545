package ninep

import (
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// actAs gives this thread the rights that the folder's owner has to files, and
// takes all capabilities from it: an agent that runs as root serves no file that
// its owner could not open. The thread must end with what it does.
func actAs(owner identity) error {
	if os.Geteuid() != 0 {
		return nil // a user's agent has the user's rights
	}
	groups, err := unix.Getgroups()
	if err != nil {
		return fmt.Errorf("groups: %w", err)
	}
	if len(groups) > 0 {
		// Of this thread only, unlike syscall.Setgroups.
		if _, _, e := unix.RawSyscall(unix.SYS_SETGROUPS, 0, 0, 0); e != 0 {
			return fmt.Errorf("groups: %w", e)
		}
	}
	// They return what was before, and no error.
	for _, set := range []func(int) (int, error){
		func(int) (int, error) { return unix.SetfsgidRetGid(int(owner.gid)) },
		func(int) (int, error) { return unix.SetfsuidRetUid(int(owner.uid)) },
	} {
		if _, err := set(0); err != nil {
			return err
		}
	}
	if got, err := unix.SetfsuidRetUid(-1); err != nil || got != int(owner.uid) {
		return fmt.Errorf("%w: rights of user %d: have those of %d", eAccess, owner.uid, got)
	}
	if got, err := unix.SetfsgidRetGid(-1); err != nil || got != int(owner.gid) {
		return fmt.Errorf("%w: rights of group %d: have those of %d", eAccess, owner.gid, got)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		return fmt.Errorf("capabilities: %w", err)
	}
	return nil
}

func timesOf(st *syscall.Stat_t) (accessed, changed time.Time) {
	return time.Unix(st.Atim.Unix()), time.Unix(st.Ctim.Unix())
}
