package wasi

import (
	"context"
	"encoding/binary"

	"github.com/consentry/consentry/wasmhost/abi"
)

func (s *System) fdClose(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.get(c.U32(0), 0)
	if errno != abi.OK {
		return errno
	}
	d.close()
	s.remove(c.U32(0))
	return abi.OK
}

// fdRenumber moves a descriptor over another one.
func (s *System) fdRenumber(_ context.Context, c abi.Call) abi.Errno {
	from, to := c.U32(0), c.U32(1)
	moved, replaced := s.fds[from], s.fds[to]
	if moved == nil || replaced == nil {
		return abi.EBADF
	}
	if from != to {
		replaced.close()
		s.fds[to] = moved
		s.remove(from)
	}
	return abi.OK
}

func (s *System) fdPrestatGet(_ context.Context, c abi.Call) abi.Errno {
	d := s.fds[c.U32(0)]
	if d == nil || d.preopen == "" {
		return abi.EBADF
	}
	const preopenDir = 0
	c.Mem.PutUint32(c.U32(1), preopenDir)
	c.Mem.PutUint32(c.U32(1)+4, uint32(len(d.preopen)))
	return abi.OK
}

func (s *System) fdPrestatDirName(_ context.Context, c abi.Call) abi.Errno {
	d := s.fds[c.U32(0)]
	if d == nil || d.preopen == "" {
		return abi.EBADF
	}
	if c.U32(2) < uint32(len(d.preopen)) {
		return abi.ENAMETOOLONG
	}
	copy(c.Mem.Bytes(c.U32(1), uint32(len(d.preopen))), d.preopen)
	return abi.OK
}

func (s *System) fdFdstatGet(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.get(c.U32(0), 0)
	if errno != abi.OK {
		return errno
	}
	out := c.Mem.Bytes(c.U32(1), 24)
	clear(out)
	out[0] = d.fileType()
	binary.LittleEndian.PutUint16(out[2:], d.flags)
	binary.LittleEndian.PutUint64(out[8:], d.rights)
	binary.LittleEndian.PutUint64(out[16:], d.inherit)
	return abi.OK
}

// fdFdstatSetFlags takes append and nonblock; the synchronous modes can be
// chosen only when a file is opened.
func (s *System) fdFdstatSetFlags(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.get(c.U32(0), rightFdstatSetFlags)
	if errno != abi.OK {
		return errno
	}
	const settable = flagAppend | flagNonblock
	flags := c.U32(1)
	switch {
	case flags&^flagsKnown != 0:
		return abi.EINVAL
	case uint16(flags)&^settable != d.flags&^settable:
		return abi.ENOTSUP
	}
	d.flags = uint16(flags)
	return abi.OK
}

// fdFdstatSetRights can only take rights away.
func (s *System) fdFdstatSetRights(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.get(c.U32(0), 0)
	if errno != abi.OK {
		return errno
	}
	if c.U64(1)&^d.rights != 0 || c.U64(2)&^d.inherit != 0 {
		return abi.ENOTCAPABLE
	}
	d.rights, d.inherit = c.U64(1), c.U64(2)
	return abi.OK
}

func (s *System) fdAdvise(_ context.Context, c abi.Call) abi.Errno {
	const advices = 6
	_, errno := s.regular(c.U32(0), rightAdvise)
	if errno != abi.OK {
		return errno
	}
	if c.U32(3) >= advices || int64(c.U64(1)) < 0 || int64(c.U64(2)) < 0 {
		return abi.EINVAL
	}
	return abi.OK
}

// fdAllocate makes the file at least as long as asked for.
func (s *System) fdAllocate(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.regular(c.U32(0), rightAllocate)
	if errno != abi.OK {
		return errno
	}
	offset, length := int64(c.U64(1)), int64(c.U64(2))
	if offset < 0 || length <= 0 {
		return abi.EINVAL
	}
	if offset+length < 0 {
		return abi.EFBIG
	}
	st, err := d.file.Stat()
	if err != nil {
		return errnoOf(err)
	}
	if offset+length <= st.Size() {
		return abi.OK
	}
	return errnoOf(d.file.Truncate(offset + length))
}

// fdSync serves fd_datasync as well.
func (s *System) fdSync(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.get(c.U32(0), 0)
	if errno != abi.OK {
		return errno
	}
	switch d.kind {
	case file:
		return errnoOf(d.file.Sync())
	case stream:
		return abi.EINVAL
	}
	return abi.OK
}
