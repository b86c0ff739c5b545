package wasi

import (
	"io/fs"
	"os"
	"syscall"
	"time"
)

// identify has no inode to give: Windows tells it only for an open file.
func identify(st fs.FileInfo) identity {
	id := identity{nlink: 1, accessed: st.ModTime(), changed: st.ModTime()}
	if sys, ok := st.Sys().(*syscall.Win32FileAttributeData); ok {
		id.accessed = time.Unix(0, sys.LastAccessTime.Nanoseconds())
	}
	return id
}

// setTimes sets the times of an open file; the zero time leaves one as it is.
func setTimes(f *os.File, accessed, modified time.Time) error {
	filetime := func(t time.Time) *syscall.Filetime {
		if t.IsZero() {
			return nil
		}
		ft := syscall.NsecToFiletime(t.UnixNano())
		return &ft
	}
	err := syscall.SetFileTime(syscall.Handle(f.Fd()), nil, filetime(accessed), filetime(modified))
	return os.NewSyscallError("SetFileTime", err)
}

// setLinkTimes would change the target: Windows has no call for the link.
func setLinkTimes(_ *os.File, _ string, _, _ time.Time) error { return fs.ErrInvalid }
