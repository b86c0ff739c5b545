package router

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// wiretap is a Link that a capture can listen on. Without one it costs a load
// for each frame.
type wiretap struct {
	Link
	listener atomic.Pointer[capture]
}

// link returns the wiretap with the optional powers that its link has.
func (t *wiretap) link() Link {
	split, splits := t.Link.(splitLink)
	offload, offloads := t.Link.(offloadLink)
	switch {
	case splits && offloads:
		return struct {
			*wiretap
			splitTap
			offloadTapped
		}{t, splitTap{t, split}, offloadTapped{t, offload}}
	case splits:
		return struct {
			*wiretap
			splitTap
		}{t, splitTap{t, split}}
	case offloads:
		return struct {
			*wiretap
			offloadTapped
		}{t, offloadTapped{t, offload}}
	}
	return t
}

func (t *wiretap) MTU() int {
	if sized, ok := t.Link.(sizedLink); ok {
		return sized.MTU()
	}
	return sandbox.LinkMTUEthernet
}

func (t *wiretap) ReadFrame(buf []byte) (int, error) {
	n, err := t.Link.ReadFrame(buf)
	if c := t.listener.Load(); c != nil && err == nil {
		c.hear(buf[:n])
	}
	return n, err
}

func (t *wiretap) WriteFrame(frame []byte) error {
	if c := t.listener.Load(); c != nil {
		c.hear(frame)
	}
	return t.Link.WriteFrame(frame)
}

type splitTap struct {
	tap  *wiretap
	link splitLink
}

func (s splitTap) ReadSplit(ethernet, packet []byte) (int, error) {
	n, err := s.link.ReadSplit(ethernet, packet)
	if c := s.tap.listener.Load(); c != nil && err == nil {
		c.hear(ethernet[:min(n, len(ethernet))], packet[:max(n-len(ethernet), 0)])
	}
	return n, err
}

type offloadTapped struct {
	tap  *wiretap
	link offloadLink
}

func (o offloadTapped) WriteSegments(how offload, parts [][]byte) error {
	if c := o.tap.listener.Load(); c != nil {
		c.hear(parts...)
	}
	return o.link.WriteSegments(how, parts)
}

// Bounds of a capture.
const (
	captureQueue = 256 // frames between the wire and the writer; more are lost and counted
	// MaxCapture is the most that one writes, in bytes.
	MaxCapture = 1 << 30
)

// capture takes copies of frames, and never holds the wire up.
type capture struct {
	frames chan []byte // each a record of the file
	lost   atomic.Uint64
}

// The file is classic pcap with times in nanoseconds, as
// draft-ietf-opsawg-pcap says: a header, then for each frame seconds,
// nanoseconds, the length that is here and the length that it had.
const (
	pcapMagic    = 0xa1b23c4d
	pcapMajor    = 2
	pcapMinor    = 4
	pcapEthernet = 1
	recordHeader = 16
)

func pcapHeader() []byte {
	h := binary.LittleEndian.AppendUint32(nil, pcapMagic)
	h = binary.LittleEndian.AppendUint16(h, pcapMajor)
	h = binary.LittleEndian.AppendUint16(h, pcapMinor)
	h = append(h, make([]byte, 8)...) // time zone and accuracy, both unused
	h = binary.LittleEndian.AppendUint32(h, maxFrame)
	return binary.LittleEndian.AppendUint32(h, pcapEthernet)
}

func pcapRecord(at time.Time, parts [][]byte) []byte {
	n := 0
	for _, part := range parts {
		n += len(part)
	}
	kept := min(n, maxFrame)
	r := make([]byte, 0, recordHeader+kept)
	for _, v := range []int64{at.Unix(), int64(at.Nanosecond()), int64(kept), int64(n)} {
		r = binary.LittleEndian.AppendUint32(r, uint32(v)) //nolint:gosec // the format ends in 2106
	}
	for _, part := range parts {
		r = append(r, part...)
	}
	return r[:recordHeader+kept]
}

func (c *capture) hear(parts ...[]byte) {
	if len(c.frames) == cap(c.frames) {
		c.lost.Add(1)
		return
	}
	select {
	case c.frames <- pcapRecord(time.Now(), parts):
	default:
		c.lost.Add(1)
	}
}

var errCaptured = errors.New("a capture of this app runs already")

// Capture writes the app's frames to w as a pcap file, until ctx or the router
// ends, w takes no more, or limit bytes were written. Frames that w is too slow
// for are lost, and counted. Large TCP segments stand in it as the kernel hands
// them over, uncut and with the checksum still to be made.
func (r *Router) Capture(ctx context.Context, w io.Writer, limit int64) (lost uint64, err error) {
	if limit <= 0 || limit > MaxCapture {
		limit = MaxCapture
	}
	c := &capture{frames: make(chan []byte, captureQueue)}
	if !r.tap.listener.CompareAndSwap(nil, c) {
		return 0, fmt.Errorf("%w: %w", sandbox.ErrBusy, errCaptured)
	}
	defer r.tap.listener.Store(nil)
	record := pcapHeader()
	for left := limit; left >= int64(len(record)); {
		if _, err := w.Write(record); err != nil {
			return c.lost.Load(), fmt.Errorf("capture: %w", err)
		}
		left -= int64(len(record))
		select {
		case record = <-c.frames:
		case <-ctx.Done():
			return c.lost.Load(), nil
		case <-r.ctx.Done():
			return c.lost.Load(), nil
		}
	}
	return c.lost.Load(), nil
}
