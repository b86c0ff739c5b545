package wasi

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

func identify(st fs.FileInfo) identity {
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{nlink: 1, accessed: st.ModTime(), changed: st.ModTime()}
	}
	return identity{
		dev: sys.Dev, ino: sys.Ino, nlink: uint64(sys.Nlink), //nolint:unconvert // 32 bits on arm64
		accessed: time.Unix(sys.Atim.Unix()), changed: time.Unix(sys.Ctim.Unix()),
	}
}

// setTimes sets the times of an open file; the zero time leaves one as it is.
func setTimes(f *os.File, accessed, modified time.Time) error {
	return setTimesAt(f, "", accessed, modified, unix.AT_EMPTY_PATH)
}

// setLinkTimes sets the times of name in dir, of the link if it is one.
func setLinkTimes(dir *os.File, name string, accessed, modified time.Time) error {
	return setTimesAt(dir, name, accessed, modified, unix.AT_SYMLINK_NOFOLLOW)
}

func setTimesAt(f *os.File, name string, accessed, modified time.Time, flags int) error {
	spec := func(t time.Time) unix.Timespec {
		if t.IsZero() {
			return unix.Timespec{Nsec: unix.UTIME_OMIT}
		}
		return unix.NsecToTimespec(t.UnixNano())
	}
	err := unix.UtimesNanoAt(int(f.Fd()), name, []unix.Timespec{spec(accessed), spec(modified)}, flags)
	return os.NewSyscallError("utimensat", err)
}
