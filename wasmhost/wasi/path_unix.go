//go:build unix

package wasi

import (
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// nonblock keeps open from waiting for the other end of a FIFO that took a
// regular file's place.
const nonblock = unix.O_NONBLOCK

// parent opens the directory that holds t's last element. The element has no
// slash and is no dots, so that it cannot lead elsewhere.
func (t target) parent() (*os.File, string, error) {
	dir, base := path.Split(t.name)
	if base == "" || base == "." || base == ".." {
		return nil, "", syscall.EINVAL
	}
	if dir == "" {
		dir = "."
	}
	f, err := t.dir.root.Open(dir)
	return f, base, err
}

// between does something with two paths that start at different directories.
func between(from, to target, do func(int, string, int, string) error) error {
	fromDir, fromBase, err := from.parent()
	if err != nil {
		return err
	}
	defer fromDir.Close()
	toDir, toBase, err := to.parent()
	if err != nil {
		return err
	}
	defer toDir.Close()
	return do(int(fromDir.Fd()), fromBase, int(toDir.Fd()), toBase)
}

func renameAt(fromDir int, from string, toDir int, to string) error {
	return unix.Renameat(fromDir, from, toDir, to)
}

// linkAt does not follow a link at the end of from.
func linkAt(fromDir int, from string, toDir int, to string) error {
	return unix.Linkat(fromDir, from, toDir, to, 0)
}
