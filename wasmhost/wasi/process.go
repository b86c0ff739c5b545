package wasi

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/consentry/consentry/wasmhost/abi"
)

func (s *System) argsSizesGet(_ context.Context, c abi.Call) abi.Errno { return sizes(c, s.args) }
func (s *System) argsGet(_ context.Context, c abi.Call) abi.Errno      { return list(c, s.args) }

func (s *System) environSizesGet(_ context.Context, c abi.Call) abi.Errno { return sizes(c, s.env) }
func (s *System) environGet(_ context.Context, c abi.Call) abi.Errno      { return list(c, s.env) }

// sizes writes the number of texts and their bytes, NULs included.
func sizes(c abi.Call, texts []string) abi.Errno {
	total := 0
	for _, t := range texts {
		total += len(t) + 1
	}
	c.Mem.PutUint32(c.U32(0), uint32(len(texts)))
	c.Mem.PutUint32(c.U32(1), uint32(total))
	return abi.OK
}

// list writes an array of pointers, and the texts they point to.
func list(c abi.Call, texts []string) abi.Errno {
	pointers, text := c.U32(0), c.U32(1)
	for _, t := range texts {
		c.Mem.PutUint32(pointers, text)
		buf := c.Mem.Bytes(text, uint32(len(t)+1))
		copy(buf, t)
		buf[len(t)] = 0
		pointers += 4
		text += uint32(len(buf))
	}
	return abi.OK
}

// The clocks of preview 1. The CPU clocks tell the time since the start: there
// is one guest to a run, and its own time is not counted apart.
const (
	clockRealtime = iota
	clockMonotonic
	clockProcess
	clockThread
	clocks
)

func (s *System) now(clock uint32) uint64 {
	if clock == clockRealtime {
		return uint64(time.Now().UnixNano())
	}
	return uint64(time.Since(s.began)) + 1 // never 0, which some take for an error
}

func (s *System) clockResGet(_ context.Context, c abi.Call) abi.Errno {
	if c.U32(0) >= clocks {
		return abi.EINVAL
	}
	c.Mem.PutUint64(c.U32(1), 1)
	return abi.OK
}

func (s *System) clockTimeGet(_ context.Context, c abi.Call) abi.Errno {
	clock := c.U32(0)
	if clock >= clocks {
		return abi.EINVAL
	}
	c.Mem.PutUint64(c.U32(2), s.now(clock))
	return abi.OK
}

// randomChunk is how much is read between two looks at the context.
const randomChunk = 1 << 20

func (s *System) randomGet(ctx context.Context, c abi.Call) abi.Errno {
	buf := c.Mem.Bytes(c.U32(0), c.U32(1))
	for len(buf) > 0 && ctx.Err() == nil {
		n := min(len(buf), randomChunk)
		rand.Read(buf[:n]) // does not fail: the program dies instead
		buf = buf[n:]
	}
	return abi.OK
}

func (s *System) schedYield(context.Context, abi.Call) abi.Errno { return abi.OK }

// procRaise is not offered by any current engine; guests use proc_exit.
func (s *System) procRaise(context.Context, abi.Call) abi.Errno { return abi.ENOSYS }

func (s *System) sockAccept(_ context.Context, c abi.Call) abi.Errno {
	if s.fds[c.U32(0)] == nil {
		return abi.EBADF
	}
	return abi.ENOTSUP
}

func (s *System) sockAny(_ context.Context, c abi.Call) abi.Errno {
	if s.fds[c.U32(0)] == nil {
		return abi.EBADF
	}
	return abi.ENOTSOCK
}
