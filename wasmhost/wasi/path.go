package wasi

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"strings"

	"github.com/consentry/consentry/wasmhost/abi"
)

// maxPath bounds a path, as PATH_MAX does on Linux.
const maxPath = 4096

// followLink is the only look-up flag.
const followLink = 1 << 0

// target is a path below a directory descriptor.
type target struct {
	dir   *descriptor
	name  string // relative, without trailing slashes, not empty
	slash bool   // had a trailing slash: it has to be a directory
}

// path resolves the directory in argument fd and the path whose pointer and
// length are arguments text and text+1. What the path leads to is for os.Root
// to say when it is used.
func (s *System) path(c abi.Call, fd, text int, rights uint64) (target, abi.Errno) {
	d, errno := s.dir(c.U32(fd), rights)
	if errno != abi.OK {
		return target{}, errno
	}
	if c.U32(text+1) > maxPath {
		return target{}, abi.ENAMETOOLONG
	}
	raw := c.Str(text)
	switch {
	case raw == "":
		return target{}, abi.ENOENT
	case strings.ContainsRune(raw, 0):
		return target{}, abi.EINVAL
	case raw[0] == '/':
		return target{}, abi.EPERM
	}
	name := strings.TrimRight(raw, "/")
	return target{dir: d, name: name, slash: len(name) < len(raw)}, abi.OK
}

// changeable is path for calls that change the mount.
func (s *System) changeable(c abi.Call, fd, text int, rights uint64) (target, abi.Errno) {
	t, errno := s.path(c, fd, text, rights)
	if errno == abi.OK && t.dir.readOnly {
		return target{}, abi.EROFS
	}
	return t, errno
}

// stat looks at t, through a link at its end if follow is set.
func (t target) stat(follow bool) (fs.FileInfo, error) {
	if follow || t.slash {
		return t.dir.root.Stat(t.name)
	}
	return t.dir.root.Lstat(t.name)
}

func (s *System) pathCreateDirectory(_ context.Context, c abi.Call) abi.Errno {
	t, errno := s.changeable(c, 0, 1, rightCreateDirectory)
	if errno != abi.OK {
		return errno
	}
	return errnoOf(t.dir.root.Mkdir(t.name, 0o777))
}

func (s *System) pathFilestatGet(_ context.Context, c abi.Call) abi.Errno {
	t, errno := s.path(c, 0, 2, rightPathFilestatGet)
	if errno != abi.OK {
		return errno
	}
	out := c.Mem.Bytes(c.U32(4), filestatSize)
	st, err := t.stat(c.U32(1)&followLink != 0)
	if err != nil {
		return errnoOf(err)
	}
	if t.slash && !st.IsDir() {
		return abi.ENOTDIR
	}
	putStat(out, st)
	return abi.OK
}

func (s *System) pathFilestatSetTimes(_ context.Context, c abi.Call) abi.Errno {
	t, errno := s.changeable(c, 0, 2, rightPathFilestatSetTimes)
	if errno != abi.OK {
		return errno
	}
	accessed, modified, errno := times(c.U64(4), c.U64(5), c.U32(6))
	if errno != abi.OK {
		return errno
	}
	follow := c.U32(1)&followLink != 0
	st, err := t.stat(follow)
	switch {
	case err != nil:
		return errnoOf(err)
	case t.slash && !st.IsDir():
		return abi.ENOTDIR
	case st.Mode()&fs.ModeSymlink == 0:
		return errnoOf(t.dir.root.Chtimes(t.name, accessed, modified))
	}
	dir, base, err := t.parent()
	if err != nil {
		return errnoOf(err)
	}
	defer dir.Close()
	return errnoOf(setLinkTimes(dir, base, accessed, modified))
}

func (s *System) pathReadlink(_ context.Context, c abi.Call) abi.Errno {
	t, errno := s.path(c, 0, 1, rightReadlink)
	if errno != abi.OK {
		return errno
	}
	buf := c.Mem.Bytes(c.U32(3), c.U32(4))
	text, err := t.dir.root.Readlink(t.name)
	if err != nil {
		return errnoOf(err)
	}
	c.Mem.PutUint32(c.U32(5), uint32(copy(buf, text)))
	return abi.OK
}

func (s *System) pathRemoveDirectory(_ context.Context, c abi.Call) abi.Errno {
	t, errno := s.changeable(c, 0, 1, rightRemoveDirectory)
	if errno != abi.OK {
		return errno
	}
	st, err := t.dir.root.Lstat(t.name)
	switch {
	case err != nil:
		return errnoOf(err)
	case !st.IsDir():
		return abi.ENOTDIR
	case endsInDots(t.name):
		return abi.EINVAL
	}
	return errnoOf(t.dir.root.Remove(t.name))
}

func (s *System) pathUnlinkFile(_ context.Context, c abi.Call) abi.Errno {
	t, errno := s.changeable(c, 0, 1, rightUnlinkFile)
	if errno != abi.OK {
		return errno
	}
	st, err := t.dir.root.Lstat(t.name)
	switch {
	case err != nil:
		return errnoOf(err)
	case st.IsDir():
		return abi.EISDIR
	case t.slash:
		return abi.ENOTDIR
	}
	return errnoOf(t.dir.root.Remove(t.name))
}

func endsInDots(name string) bool {
	base := path.Base(name)
	return base == "." || base == ".."
}

func (s *System) pathSymlink(_ context.Context, c abi.Call) abi.Errno {
	t, errno := s.changeable(c, 2, 3, rightSymlink)
	switch {
	case errno != abi.OK:
		return errno
	case c.U32(1) > maxPath:
		return abi.ENAMETOOLONG
	}
	text := c.Str(0)
	switch {
	case text == "":
		return abi.ENOENT
	case strings.ContainsRune(text, 0):
		return abi.EINVAL
	case text[0] == '/', t.dir.depth < climbs(path.Join(path.Dir(t.name), text)):
		return abi.EPERM
	case t.slash:
		return t.slashErrno()
	}
	return errnoOf(t.dir.root.Symlink(text, t.name))
}

// climbs counts the leading ".." of a clean path. It is not the wall, only
// keeps links out of the mount that would mislead others on the host.
func climbs(clean string) int {
	n := 0
	for strings.HasPrefix(clean, "..") && (len(clean) == 2 || clean[2] == '/') {
		n++
		clean = strings.TrimPrefix(clean[2:], "/")
	}
	return n
}

// slashErrno is why nothing but a directory can be made at t.
func (t target) slashErrno() abi.Errno {
	st, err := t.dir.root.Lstat(t.name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return abi.ENOENT
	case err != nil:
		return errnoOf(err)
	case st.IsDir():
		return abi.EEXIST
	}
	return abi.ENOTDIR
}

func (s *System) pathLink(_ context.Context, c abi.Call) abi.Errno {
	from, errno := s.changeable(c, 0, 2, rightLinkSource)
	if errno != abi.OK {
		return errno
	}
	to, errno := s.changeable(c, 4, 5, rightLinkTarget)
	switch {
	case errno != abi.OK:
		return errno
	case c.U32(1)&followLink != 0:
		return abi.EINVAL // as Linux hosts of preview 1 have it
	case from.slash || to.slash:
		return abi.ENOENT
	case from.dir == to.dir:
		return errnoOf(from.dir.root.Link(from.name, to.name))
	}
	return errnoOf(between(from, to, linkAt))
}

func (s *System) pathRename(_ context.Context, c abi.Call) abi.Errno {
	from, errno := s.changeable(c, 0, 1, rightRenameSource)
	if errno != abi.OK {
		return errno
	}
	to, errno := s.changeable(c, 3, 4, rightRenameTarget)
	if errno != abi.OK {
		return errno
	}
	st, err := from.dir.root.Lstat(from.name)
	switch {
	case err != nil:
		return errnoOf(err)
	case (from.slash || to.slash) && !st.IsDir():
		return abi.ENOTDIR
	case endsInDots(from.name) || endsInDots(to.name):
		return abi.EINVAL
	case from.dir == to.dir:
		return errnoOf(from.dir.root.Rename(from.name, to.name))
	}
	return errnoOf(between(from, to, renameAt))
}
