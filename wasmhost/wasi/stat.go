package wasi

import (
	"context"
	"encoding/binary"
	"io/fs"
	"time"

	"github.com/consentry/consentry/wasmhost/abi"
)

// File types of preview 1.
const (
	typeUnknown   = 0
	typeBlock     = 1
	typeChar      = 2
	typeDirectory = 3
	typeRegular   = 4
	typeSocket    = 6
	typeLink      = 7
)

func typeOf(mode fs.FileMode) byte {
	switch {
	case mode.IsRegular():
		return typeRegular
	case mode.IsDir():
		return typeDirectory
	case mode&fs.ModeSymlink != 0:
		return typeLink
	case mode&fs.ModeCharDevice != 0:
		return typeChar
	case mode&fs.ModeDevice != 0:
		return typeBlock
	case mode&fs.ModeSocket != 0:
		return typeSocket
	}
	return typeUnknown
}

func (d *descriptor) fileType() byte {
	switch d.kind {
	case directory:
		return typeDirectory
	case file:
		return typeRegular
	}
	if d.stream.terminal {
		return typeChar
	}
	return typeUnknown
}

// identity is what a system tells about a file beside fs.FileInfo.
type identity struct {
	dev, ino, nlink   uint64
	accessed, changed time.Time
}

const filestatSize = 64

func putStat(out []byte, st fs.FileInfo) {
	id := identify(st)
	clear(out)
	le := binary.LittleEndian
	le.PutUint64(out, id.dev)
	le.PutUint64(out[8:], id.ino)
	out[16] = typeOf(st.Mode())
	le.PutUint64(out[24:], id.nlink)
	le.PutUint64(out[32:], uint64(st.Size()))
	le.PutUint64(out[40:], uint64(id.accessed.UnixNano()))
	le.PutUint64(out[48:], uint64(st.ModTime().UnixNano()))
	le.PutUint64(out[56:], uint64(id.changed.UnixNano()))
}

func (s *System) fdFilestatGet(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.get(c.U32(0), rightFilestatGet)
	if errno != abi.OK {
		return errno
	}
	out := c.Mem.Bytes(c.U32(1), filestatSize)
	st, err := d.stat()
	if err != nil {
		return errnoOf(err)
	}
	if st == nil { // a stream: device and inode of the host are not the guest's business
		clear(out)
		out[16] = d.fileType()
		return abi.OK
	}
	putStat(out, st)
	return abi.OK
}

// stat returns nil for a stream.
func (d *descriptor) stat() (fs.FileInfo, error) {
	switch d.kind {
	case directory:
		return d.root.Stat(".")
	case file:
		return d.file.Stat()
	}
	return nil, nil
}

func (s *System) fdFilestatSetSize(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.regular(c.U32(0), rightFilestatSetSize)
	switch {
	case errno == abi.ESPIPE, errno == abi.OK && int64(c.U64(1)) < 0:
		return abi.EINVAL
	case errno != abi.OK:
		return errno
	}
	return errnoOf(d.file.Truncate(int64(c.U64(1))))
}

func (s *System) fdFilestatSetTimes(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.get(c.U32(0), rightFilestatSetTimes)
	if errno != abi.OK {
		return errno
	}
	accessed, modified, errno := times(c.U64(1), c.U64(2), c.U32(3))
	switch {
	case errno != abi.OK:
		return errno
	case d.kind == stream:
		return abi.EINVAL
	case d.kind == file:
		return errnoOf(setTimes(d.file, accessed, modified))
	case d.readOnly:
		return abi.EROFS
	}
	return errnoOf(d.root.Chtimes(".", accessed, modified))
}

// Flags that say which times to set.
const (
	setAccessed    = 1 << 0
	setAccessedNow = 1 << 1
	setModified    = 1 << 2
	setModifiedNow = 1 << 3
)

// times returns the times to set; the zero time leaves one as it is.
func times(a, m uint64, flags uint32) (accessed, modified time.Time, errno abi.Errno) {
	const both, bothM = setAccessed | setAccessedNow, setModified | setModifiedNow
	if flags&^(both|bothM) != 0 || flags&both == both || flags&bothM == bothM {
		return accessed, modified, abi.EINVAL
	}
	now := time.Now()
	choose := func(given uint64, set, setNow uint32) time.Time {
		switch {
		case flags&set != 0:
			return time.Unix(0, int64(given))
		case flags&setNow != 0:
			return now
		}
		return time.Time{}
	}
	return choose(a, setAccessed, setAccessedNow), choose(m, setModified, setModifiedNow), abi.OK
}
