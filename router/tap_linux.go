package router

import (
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// vnetLen is the size of struct virtio_net_hdr without its optional tail.
const vnetLen = 10

// Fields of struct virtio_net_hdr (linux/virtio_net.h).
const (
	vnetNeedsChecksum = 1
	vnetTCP4          = 1
	vnetTCP6          = 4
)

// TapLink is a tap whose other side is the app's network card. The creator
// sets IFF_TAP and IFF_NO_PI, and IFF_VNET_HDR too for speed: large segments
// then cross in one piece. TapLink finds out which, and sets the offloads. It
// takes tap over, whatever it returns.
func TapLink(tap *os.File) (Link, error) {
	defer tap.Close()
	file, vnet, err := adopt(tap)
	if err != nil {
		return nil, fmt.Errorf("take over tap: %w", err)
	}
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("take over tap: %w", err)
	}
	base := &tapLink{file: file, raw: raw}
	if vnet {
		return &offloadTap{tapLink: base, in: make([]byte, vnetLen+maxFrame+1)}, nil
	}
	return base, nil
}

// adopt returns a copy of tap that the Go poller waits on, and whether frames
// on it begin with a virtio header.
func adopt(tap *os.File) (file *os.File, vnet bool, err error) {
	raw, err := tap.SyscallConn()
	if err != nil {
		return nil, false, err
	}
	fd := -1
	control := raw.Control(func(old uintptr) {
		if vnet, err = setOffloads(int(old)); err == nil {
			fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0)
		}
	})
	if control != nil || err != nil {
		return nil, false, fmt.Errorf("not a usable tap: %w", firstError(control, err))
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, false, err
	}
	return os.NewFile(uintptr(fd), "tap"), vnet, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func setOffloads(fd int) (vnet bool, err error) {
	ifr, err := unix.NewIfreq("")
	if err != nil {
		return false, err
	}
	if err := unix.IoctlIfreq(fd, unix.TUNGETIFF, ifr); err != nil {
		return false, err
	}
	flags := ifr.Uint16()
	if flags&unix.IFF_TAP == 0 || flags&unix.IFF_NO_PI == 0 {
		return false, fmt.Errorf("flags %#x lack IFF_TAP or IFF_NO_PI", flags)
	}
	if flags&unix.IFF_VNET_HDR == 0 {
		return false, nil
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TUNSETVNETHDRSZ, vnetLen); err != nil {
		return false, err
	}
	return true, unix.IoctlSetInt(fd, unix.TUNSETOFFLOAD, unix.TUN_F_CSUM|unix.TUN_F_TSO4|unix.TUN_F_TSO6)
}

// tapLink writes with Control, not Write: a write to a tap is the work of the
// app's kernel stack on this thread, and flows should not wait for each other.
type tapLink struct {
	file *os.File
	raw  syscall.RawConn
}

func (l *tapLink) MTU() int { return sandbox.LinkMTU }

func (l *tapLink) ReadFrame(buf []byte) (int, error) {
	n, err := l.file.Read(buf)
	if err == nil && n == len(buf) {
		return 0, errLongFrame
	}
	return n, err
}

func (l *tapLink) ReadSplit(ethernet, packet []byte) (int, error) {
	n, err := l.readv([][]byte{ethernet, packet})
	if err == nil && n == len(ethernet)+len(packet) {
		return 0, errLongFrame
	}
	return n, err
}

func (l *tapLink) readv(parts [][]byte) (n int, err error) {
	wait := l.raw.Read(func(fd uintptr) bool {
		for n, err = unix.Readv(int(fd), parts); err == unix.EINTR; {
			n, err = unix.Readv(int(fd), parts)
		}
		return err != unix.EAGAIN
	})
	switch {
	case wait != nil:
		return 0, wait
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return n, err
}

func (l *tapLink) WriteFrame(frame []byte) error { return l.writev([][]byte{frame}) }

func (l *tapLink) writev(parts [][]byte) error {
	var werr error
	err := l.raw.Control(func(fd uintptr) { _, werr = unix.Writev(int(fd), parts) })
	if err != nil {
		return err
	}
	return werr
}

func (l *tapLink) Close() error { return l.file.Close() }

// offloadTap has a virtio header before each frame.
type offloadTap struct {
	*tapLink
	in []byte
}

func (l *offloadTap) ReadFrame(buf []byte) (int, error) {
	n, err := l.file.Read(l.in)
	if err != nil {
		return 0, err
	}
	if n == len(l.in) || n-vnetLen > len(buf) {
		return 0, errLongFrame
	}
	return copy(buf, l.in[min(vnetLen, n):n]), nil
}

func (l *offloadTap) ReadSplit(ethernet, packet []byte) (int, error) {
	n, err := l.readv([][]byte{l.in[:vnetLen], ethernet, packet})
	if err != nil {
		return 0, err
	}
	if n == vnetLen+len(ethernet)+len(packet) {
		return 0, errLongFrame
	}
	return max(n-vnetLen, 0), nil
}

func (l *offloadTap) WriteFrame(frame []byte) error {
	var plain [vnetLen]byte
	return l.writev([][]byte{plain[:], frame})
}

var vnetHeaders = sync.Pool{New: func() any { return new(vnetWrite) }}

type vnetWrite struct {
	header [vnetLen]byte
	parts  [][]byte
}

func (l *offloadTap) WriteSegments(o offload, parts [][]byte) error {
	w := vnetHeaders.Get().(*vnetWrite)
	defer vnetHeaders.Put(w)
	w.header = vnetHeader(o)
	w.parts = append(append(w.parts[:0], w.header[:]), parts...)
	err := l.writev(w.parts)
	clear(w.parts)
	return err
}

func vnetHeader(o offload) (h [vnetLen]byte) {
	if o.checksum {
		h[0] = vnetNeedsChecksum
		binary.NativeEndian.PutUint16(h[6:], o.checksumStart)
		binary.NativeEndian.PutUint16(h[8:], o.checksumOffset)
	}
	binary.NativeEndian.PutUint16(h[2:], o.headerLen)
	if o.segmentSize == 0 {
		return h
	}
	h[1] = vnetTCP4
	if o.kind == segmentTCP6 {
		h[1] = vnetTCP6
	}
	binary.NativeEndian.PutUint16(h[4:], o.segmentSize)
	return h
}
