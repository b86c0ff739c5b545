package bpfd

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// Why a cgroup is not fenced.
var (
	errNotCgroup = errors.New("what was passed is no directory of the cgroup2 tree")
	errNotYours  = errors.New("the cgroup does not belong to the caller: it must be one that was delegated to them (Delegate=yes)")
	errBusy      = errors.New("something runs in the cgroup")
)

// owned returns the id of the cgroup that dir is open on, if it was delegated to
// a user: both the directory and its list of processes are theirs. All that is
// below is then theirs as well, and no cgroup of anybody else is.
func owned(dir *os.File, uid uint32) (uint64, error) {
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(dir.Fd()), &fs); err != nil {
		return 0, fmt.Errorf("%w: %w", errNotCgroup, err)
	}
	var st, list unix.Stat_t
	if err := unix.Fstat(int(dir.Fd()), &st); err != nil {
		return 0, fmt.Errorf("%w: %w", errNotCgroup, err)
	}
	if fs.Type != unix.CGROUP2_SUPER_MAGIC || st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return 0, errNotCgroup
	}
	if err := unix.Fstatat(int(dir.Fd()), "cgroup.procs", &list, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return 0, fmt.Errorf("%w: %w", errNotCgroup, err)
	}
	if uid == 0 || st.Uid != uid || list.Uid != uid {
		return 0, errNotYours
	}
	return st.Ino, nil
}

// maxEvents bounds what is read of cgroup.events, two short lines.
const maxEvents = 256 // bytes

// empty says that nothing runs in a cgroup, and nothing below it. What has been
// removed is empty.
func empty(dir *os.File) (bool, error) {
	fd, err := unix.Openat(int(dir.Fd()), "cgroup.events", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if removed(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("cgroup.events: %w", err)
	}
	f := os.NewFile(uintptr(fd), "cgroup.events") //nolint:gosec // a descriptor
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxEvents))
	if removed(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("cgroup.events: %w", err)
	}
	return bytes.Contains(text, []byte("populated 0\n")), nil
}

func removed(err error) bool {
	return errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENODEV)
}
