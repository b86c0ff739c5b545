package wasi

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"time"

	"github.com/consentry/consentry/wasmhost/abi"
)

// Sizes and numbers of poll_oneoff.
const (
	subscriptionSize = 48
	eventSize        = 32
	maxSubscriptions = 4096

	eventClock = 0
	eventRead  = 1
	eventWrite = 2

	clockAbsolute = 1 << 0
)

// event is the answer to one subscription.
type event struct {
	userdata uint64
	errno    abi.Errno
	typ      byte
	nbytes   uint64
}

// poll is one call of poll_oneoff.
type poll struct {
	ready  []event
	clocks []event // those that are over at timeout
	inputs []event // waiting for standard input
	input  *standardStream
	wait   time.Duration // until the first clock; negative if there is none
}

func (s *System) pollOneoff(_ context.Context, c abi.Call) abi.Errno {
	in, out, n := c.U32(0), c.U32(1), c.U32(2)
	if n == 0 || n > maxSubscriptions {
		return abi.EINVAL
	}
	subscriptions := c.Mem.Bytes(in, n*subscriptionSize)
	events := c.Mem.Bytes(out, n*eventSize)
	c.Mem.PutUint32(c.U32(3), 0)
	p := poll{wait: forever}
	for i := range n {
		if errno := s.subscribe(&p, subscriptions[i*subscriptionSize:][:subscriptionSize]); errno != abi.OK {
			return errno
		}
	}
	if errno := s.await(&p); errno != abi.OK {
		return errno
	}
	for i, e := range p.ready {
		e.put(events[i*eventSize:][:eventSize])
	}
	c.Mem.PutUint32(c.U32(3), uint32(len(p.ready)))
	return abi.OK
}

func (s *System) subscribe(p *poll, sub []byte) abi.Errno {
	le := binary.LittleEndian
	e := event{userdata: le.Uint64(sub), typ: sub[8]}
	switch e.typ {
	case eventClock:
		return s.subscribeClock(p, e, le.Uint32(sub[16:]), le.Uint64(sub[24:]), le.Uint16(sub[40:]))
	case eventRead, eventWrite:
		s.subscribeFile(p, e, le.Uint32(sub[16:]))
		return abi.OK
	}
	return abi.EINVAL
}

func (s *System) subscribeClock(p *poll, e event, clock uint32, at uint64, flags uint16) abi.Errno {
	if clock >= clocks {
		return abi.EINVAL
	}
	if flags&clockAbsolute != 0 {
		at -= min(at, s.now(clock))
	}
	wait := time.Duration(min(at, math.MaxInt64))
	if p.wait < 0 || wait < p.wait {
		p.wait, p.clocks = wait, nil
	}
	if wait == p.wait {
		p.clocks = append(p.clocks, e)
	}
	return abi.OK
}

func (s *System) subscribeFile(p *poll, e event, fd uint32) {
	d := s.fds[fd]
	right := uint64(rightRead)
	if e.typ == eventWrite {
		right = rightWrite
	}
	switch {
	case d == nil:
		e.errno = abi.EBADF
	case d.kind == directory, d.rights&right == 0:
		e.errno = abi.EBADF
	case d.kind == stream && e.typ == eventRead:
		p.input = d.stream
		p.inputs = append(p.inputs, e)
		return
	case d.kind == file && e.typ == eventRead:
		e.nbytes = d.left()
	default:
		e.nbytes = 1
	}
	p.ready = append(p.ready, e)
}

// left is the number of bytes between the file's position and its end.
func (d *descriptor) left() uint64 {
	st, err := d.file.Stat()
	if err != nil {
		return 0
	}
	pos, err := d.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return 0
	}
	return uint64(max(st.Size()-pos, 0))
}

// await waits for the first event.
func (s *System) await(p *poll) abi.Errno {
	switch {
	case len(p.ready) > 0 && p.input == nil:
		return abi.OK
	case p.input == nil:
		if err := s.wake.sleep(p.wait); err != nil {
			return errnoOf(err)
		}
		p.ready = append(p.ready, p.clocks...)
		return abi.OK
	}
	if len(p.ready) > 0 {
		p.wait = 0
	}
	arrived, err := p.input.waitInput(s.wake, p.wait)
	switch {
	case err != nil:
		return errnoOf(err)
	case arrived:
		for _, e := range p.inputs {
			e.nbytes = 1
			p.ready = append(p.ready, e)
		}
	case len(p.ready) == 0:
		p.ready = append(p.ready, p.clocks...)
	}
	return abi.OK
}

func (e event) put(out []byte) {
	clear(out)
	binary.LittleEndian.PutUint64(out, e.userdata)
	binary.LittleEndian.PutUint16(out[8:], uint16(e.errno))
	out[10] = e.typ
	if e.typ != eventClock {
		binary.LittleEndian.PutUint64(out[16:], e.nbytes)
	}
}
