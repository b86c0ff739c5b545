package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// isWhiteout tells overlayfs's mark for "removed": a character device 0/0.
func isWhiteout(info fs.FileInfo) bool {
	st, is := info.Sys().(*syscall.Stat_t)
	return is && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// isOpaque tells whether the directory path hides the layers below.
func isOpaque(root *os.Root, path string) (bool, error) {
	f, err := root.Open(path)
	if err != nil {
		return false, err
	}
	opaque, err := fdOpaque(int(f.Fd()))
	return opaque, errors.Join(err, f.Close())
}

func fdOpaque(fd int) (bool, error) {
	var value [1]byte
	n, err := unix.Fgetxattr(fd, opaqueAttr, value[:])
	switch {
	case err == nil:
		return n == 1 && value[0] == 'y', nil
	case errors.Is(err, unix.ENODATA), errors.Is(err, unix.ENOTSUP):
		return false, nil
	case errors.Is(err, unix.ERANGE):
		return false, nil
	}
	return false, fmt.Errorf("read %s: %w", opaqueAttr, err)
}
