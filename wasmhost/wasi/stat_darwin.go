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
		dev: uint64(uint32(sys.Dev)), ino: sys.Ino, nlink: uint64(sys.Nlink),
		accessed: time.Unix(sys.Atimespec.Unix()), changed: time.Unix(sys.Ctimespec.Unix()),
	}
}

// setTimes sets the times of an open file, to the microsecond; the zero time
// leaves one as it is.
func setTimes(f *os.File, accessed, modified time.Time) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if accessed.IsZero() {
		accessed = identify(st).accessed
	}
	if modified.IsZero() {
		modified = st.ModTime()
	}
	err = unix.Futimes(int(f.Fd()), []unix.Timeval{
		unix.NsecToTimeval(accessed.UnixNano()), unix.NsecToTimeval(modified.UnixNano()),
	})
	return os.NewSyscallError("futimes", err)
}

// setLinkTimes sets the times of name in dir, of the link if it is one.
func setLinkTimes(dir *os.File, name string, accessed, modified time.Time) error {
	var st unix.Stat_t
	if err := unix.Fstatat(int(dir.Fd()), name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return os.NewSyscallError("fstatat", err)
	}
	spec := func(t time.Time, is unix.Timespec) unix.Timespec {
		if t.IsZero() {
			return is
		}
		return unix.NsecToTimespec(t.UnixNano())
	}
	err := unix.UtimesNanoAt(int(dir.Fd()), name,
		[]unix.Timespec{spec(accessed, st.Atim), spec(modified, st.Mtim)}, unix.AT_SYMLINK_NOFOLLOW)
	return os.NewSyscallError("utimensat", err)
}
