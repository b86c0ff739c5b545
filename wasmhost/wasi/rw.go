package wasi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/consentry/consentry/wasmhost/abi"
)

// maxTransfer is how much one call moves at most, in bytes. Vectors may
// overlap, so the guest's memory is no bound.
const maxTransfer = 64 << 20

func (s *System) fdRead(ctx context.Context, c abi.Call) abi.Errno {
	d, errno := s.readable(c.U32(0))
	if errno != abi.OK {
		return errno
	}
	read := func(p []byte, _ int64) (int, error) { return d.file.Read(p) }
	if d.kind == stream {
		block := d.flags&flagNonblock == 0
		read = func(p []byte, _ int64) (int, error) { return d.stream.read(s.wake, p, block) }
	}
	return gather(c, 3, 0, read)
}

func (s *System) fdPread(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.readable(c.U32(0))
	switch {
	case errno != abi.OK:
		return errno
	case d.kind == stream:
		return abi.ESPIPE
	case d.rights&rightSeek == 0:
		return abi.ENOTCAPABLE
	case int64(c.U64(3)) < 0:
		return abi.EINVAL
	}
	return gather(c, 4, int64(c.U64(3)), d.file.ReadAt)
}

// readable returns a file or stream that may be read from.
func (s *System) readable(fd uint32) (*descriptor, abi.Errno) {
	d := s.fds[fd]
	switch {
	case d == nil:
		return nil, abi.EBADF
	case d.kind == directory:
		return nil, abi.EISDIR
	case d.rights&rightRead == 0:
		return nil, abi.EBADF
	}
	return d, abi.OK
}

// gather fills the vectors of arguments 1 and 2 until one stays short, and
// writes the number of bytes to the pointer in argument result.
func gather(c abi.Call, result int, offset int64, read func([]byte, int64) (int, error)) abi.Errno {
	total := 0
	for _, buf := range c.Mem.Vectors(c.U32(1), c.U32(2)) {
		if buf = buf[:min(len(buf), maxTransfer-total)]; len(buf) == 0 {
			continue
		}
		n, err := read(buf, offset+int64(total))
		total += n
		if err != nil && !errors.Is(err, io.EOF) && total == 0 {
			return errnoOf(err)
		}
		if err != nil || n < len(buf) {
			break
		}
	}
	c.Mem.PutUint32(c.U32(result), uint32(total))
	return abi.OK
}

func (s *System) fdWrite(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.writable(c.U32(0))
	if errno != abi.OK {
		return errno
	}
	write := func(p []byte, _ int64) (int, error) { return d.file.Write(p) }
	switch {
	case d.kind == stream:
		write = func(p []byte, _ int64) (int, error) { return s.writeStream(d, p) }
	case d.flags&flagAppend != 0:
		// Not O_APPEND, with which there is no pwrite, and which could not be
		// switched off.
		if _, err := d.file.Seek(0, io.SeekEnd); err != nil {
			return errnoOf(err)
		}
	}
	return scatter(c, 3, 0, write)
}

func (s *System) fdPwrite(_ context.Context, c abi.Call) abi.Errno {
	d, errno := s.writable(c.U32(0))
	switch {
	case errno != abi.OK:
		return errno
	case d.kind == stream:
		return abi.ESPIPE
	case d.rights&rightSeek == 0:
		return abi.ENOTCAPABLE
	case int64(c.U64(3)) < 0:
		return abi.EINVAL
	}
	return scatter(c, 4, int64(c.U64(3)), d.file.WriteAt)
}

// writable returns a file or stream that may be written to.
func (s *System) writable(fd uint32) (*descriptor, abi.Errno) {
	d := s.fds[fd]
	switch {
	case d == nil:
		return nil, abi.EBADF
	case d.kind == directory:
		return nil, abi.EISDIR
	case d.rights&rightWrite == 0:
		return nil, abi.EBADF
	}
	return d, abi.OK
}

// Write writes to standard output (1) or error (2) on the guest's behalf, under
// its limit. It runs on the guest's goroutine.
func (s *System) Write(fd uint32, p []byte) error {
	d := s.fds[fd]
	if d == nil || d.kind != stream {
		return os.ErrClosed
	}
	_, err := s.writeStream(d, p)
	return err
}

// ReadAll reads standard input up to its end. It runs on the guest's goroutine.
func (s *System) ReadAll(limit int) ([]byte, error) {
	d := s.fds[0]
	if d == nil || d.kind != stream {
		return nil, os.ErrClosed
	}
	return io.ReadAll(io.LimitReader(streamReader{d.stream, s.wake}, int64(limit)))
}

type streamReader struct {
	from *standardStream
	wake *waker
}

func (r streamReader) Read(p []byte) (int, error) { return r.from.read(r.wake, p, true) }

// writeStream counts what goes to standard output and error.
func (s *System) writeStream(d *descriptor, p []byte) (int, error) {
	over := int64(len(p)) > s.output
	if over {
		p = p[:s.output]
	}
	n, err := d.stream.write(s.wake, p, d.flags&flagNonblock == 0)
	s.output -= int64(n)
	if over && err == nil {
		s.exceeded(fmt.Sprintf("output limit of %d bytes", s.limit))
		return n, os.ErrClosed
	}
	return n, err
}

func scatter(c abi.Call, result int, offset int64, write func([]byte, int64) (int, error)) abi.Errno {
	total := 0
	for _, buf := range c.Mem.Vectors(c.U32(1), c.U32(2)) {
		if buf = buf[:min(len(buf), maxTransfer-total)]; len(buf) == 0 {
			continue
		}
		n, err := write(buf, offset+int64(total))
		total += n
		if err != nil && total == 0 {
			return errnoOf(err)
		}
		if err != nil || n < len(buf) {
			break
		}
	}
	c.Mem.PutUint32(c.U32(result), uint32(total))
	return abi.OK
}

func (s *System) fdSeek(_ context.Context, c abi.Call) abi.Errno {
	if c.U32(2) > io.SeekEnd {
		return abi.EINVAL
	}
	return s.seek(c, int64(c.U64(1)), int(c.U32(2)), 3, rightSeek)
}

func (s *System) fdTell(_ context.Context, c abi.Call) abi.Errno {
	return s.seek(c, 0, io.SeekCurrent, 1, rightTell)
}

func (s *System) seek(c abi.Call, offset int64, whence, result int, right uint64) abi.Errno {
	d, errno := s.regular(c.U32(0), right)
	if errno != abi.OK {
		return errno
	}
	pos, err := d.file.Seek(offset, whence)
	if err != nil {
		return errnoOf(err)
	}
	c.Mem.PutUint64(c.U32(result), uint64(pos))
	return abi.OK
}
