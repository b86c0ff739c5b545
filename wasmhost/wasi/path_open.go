package wasi

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/consentry/consentry/wasmhost/abi"
)

// Flags of path_open.
const (
	openCreate    = 1 << 0
	openDirectory = 1 << 1
	openExclusive = 1 << 2
	openTruncate  = 1 << 3
	openKnown     = 1<<4 - 1
)

// opening is one path_open.
type opening struct {
	target
	follow  bool
	how     uint32 // openCreate …
	rights  uint64
	inherit uint64
	flags   uint16
}

func (s *System) pathOpen(_ context.Context, c abi.Call) abi.Errno {
	o := opening{
		follow: c.U32(1)&followLink != 0, how: c.U32(4),
		rights: c.U64(5), inherit: c.U64(6), flags: uint16(c.U32(7)),
	}
	var errno abi.Errno
	if o.target, errno = s.path(c, 0, 2, o.needs()); errno != abi.OK {
		return errno
	}
	c.Mem.Bytes(c.U32(8), 4) // before anything is opened
	if len(s.fds) >= s.maxFDs {
		return abi.EMFILE
	}
	d, errno := o.open()
	if errno != abi.OK {
		return errno
	}
	fd, errno := s.add(d)
	if errno != abi.OK {
		d.close()
		return errno
	}
	c.Mem.PutUint32(c.U32(8), fd)
	return abi.OK
}

// needs are the rights that the directory must have.
func (o opening) needs() uint64 {
	rights := uint64(rightOpen)
	if o.how&openCreate != 0 {
		rights |= rightCreateFile
	}
	if o.how&openTruncate != 0 {
		rights |= rightPathFilestatSetSize
	}
	return rights
}

func (o opening) open() (*descriptor, abi.Errno) {
	if o.how&^openKnown != 0 || o.how&(openCreate|openDirectory) == openCreate|openDirectory {
		return nil, abi.EINVAL
	}
	st, err := o.stat(o.follow)
	switch {
	case err == nil && o.how&(openCreate|openExclusive) == openCreate|openExclusive:
		return nil, abi.EEXIST
	case err != nil && (o.how&openCreate == 0 || !errors.Is(err, fs.ErrNotExist)):
		return nil, errnoOf(err)
	case err == nil && st.IsDir():
		return o.openDir()
	case o.slash || o.how&openDirectory != 0:
		return nil, abi.ENOTDIR
	case err == nil && st.Mode()&fs.ModeSymlink != 0:
		return nil, abi.ELOOP
	case err == nil && !st.Mode().IsRegular():
		return nil, abi.EACCES // a FIFO, socket or device of the host
	}
	return o.openFile()
}

func (o opening) openDir() (*descriptor, abi.Errno) {
	if o.how&openTruncate != 0 || o.rights&rightWrite != 0 {
		return nil, abi.EISDIR
	}
	root, err := o.dir.root.OpenRoot(o.name)
	if err != nil {
		return nil, errnoOf(err)
	}
	depth := o.dir.depth
	if clean := path.Clean(o.name); clean != "." {
		depth += 1 + strings.Count(clean, "/") - 2*climbs(clean)
	}
	return &descriptor{
		kind: directory, root: root, depth: max(depth, 0), readOnly: o.dir.readOnly,
		rights: o.rights & o.dir.inherit & dirRights, inherit: o.inherit & o.dir.inherit, flags: o.flags,
	}, abi.OK
}

func (o opening) openFile() (*descriptor, abi.Errno) {
	writes := o.rights&rightWrite != 0
	if o.dir.readOnly && (writes || o.how&(openCreate|openTruncate) != 0) {
		return nil, abi.EROFS
	}
	f, err := o.dir.root.OpenFile(o.name, o.mode(writes), 0o666)
	if err != nil {
		return nil, errnoOf(err)
	}
	// What was a file a moment ago may be something else now.
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		f.Close()
		return nil, abi.EACCES
	}
	return &descriptor{
		kind: file, file: f, rights: o.rights & o.dir.inherit & fileRights,
		inherit: o.inherit & o.dir.inherit, flags: o.flags,
	}, abi.OK
}

func (o opening) mode(writes bool) int {
	mode := os.O_RDONLY
	switch {
	case writes && o.rights&rightRead != 0, o.how&openTruncate != 0 && !writes:
		mode = os.O_RDWR
	case writes:
		mode = os.O_WRONLY
	}
	if o.how&openCreate != 0 {
		mode |= os.O_CREATE
	}
	if o.how&openExclusive != 0 {
		mode |= os.O_EXCL
	}
	if o.how&openTruncate != 0 {
		mode |= os.O_TRUNC
	}
	if o.flags&(flagDsync|flagRsync|flagSync) != 0 {
		mode |= os.O_SYNC
	}
	return mode | nonblock
}
