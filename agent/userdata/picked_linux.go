package userdata

import (
	"os"

	"golang.org/x/sys/unix"
)

// openPicked follows no link on the way: a folder that an app can write to may
// lie there, and lead elsewhere by now (openat2, Linux 5.6). It does not wait
// for a pipe.
func openPicked(path string) (*os.File, error) {
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}
