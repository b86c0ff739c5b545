package unpack

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
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
	f, err := openDirectory(root, path)
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

// openDirectory opens a directory that may change under us: a FIFO in its place
// must not make us wait.
func openDirectory(root *os.Root, path string) (*os.File, error) {
	return root.OpenFile(path, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

// isGone tells that something else is now where a directory was.
func isGone(err error) bool { return errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) }

// openRegular opens a file that may change under us: a FIFO in its place must
// not make us wait.
func openRegular(root *os.Root, path string) (*os.File, error) {
	f, err := root.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("open %s: no regular file", path)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// fileID tells files apart whatever they are called.
type fileID struct{ dev, ino uint64 }

// idOf also tells whether the file has more names than one.
func idOf(info fs.FileInfo) (id fileID, several bool) {
	st, is := info.Sys().(*syscall.Stat_t)
	if !is {
		return fileID{}, false
	}
	return fileID{uint64(st.Dev), st.Ino}, st.Nlink > 1 //nolint:unconvert // not so wide everywhere
}

// Owner is who the node belongs to on disk.
func (n Node) Owner() (uid, gid uint32) {
	st, is := n.Info.Sys().(*syscall.Stat_t)
	if !is {
		return 0, 0
	}
	return st.Uid, st.Gid
}

// Bounds on the extended attributes of one file, bytes; the kernel's own.
const maxXattrs = 64 << 10

// userXattrs are a file's attributes of the kind that layers carry, as records
// of a tar header; nil when there are none.
func userXattrs(f *os.File) (map[string]string, error) {
	size, err := unix.Flistxattr(int(f.Fd()), nil)
	if errors.Is(err, unix.ENOTSUP) || size == 0 {
		return nil, nil
	}
	list := make([]byte, min(size, maxXattrs))
	if err == nil {
		size, err = unix.Flistxattr(int(f.Fd()), list)
	}
	if err != nil {
		return nil, fmt.Errorf("list attributes of %s: %w", f.Name(), err)
	}
	var records map[string]string
	for name := range strings.SplitSeq(string(list[:size]), "\x00") {
		if !strings.HasPrefix(name, userXattr) || strings.HasPrefix(name, userOverlay) {
			continue
		}
		value := make([]byte, maxXattrs)
		size, err := unix.Fgetxattr(int(f.Fd()), name, value)
		if err != nil {
			continue // removed meanwhile
		}
		if records == nil {
			records = map[string]string{}
		}
		records[paxXattr+name] = string(value[:size])
	}
	return records, nil
}
