package router

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"sync"
)

// Link carries whole Ethernet frames to and from the app's network card.
// ReadFrame is called from one goroutine, WriteFrame from many. A frame that
// does not fit buf is reported as errLongFrame and skipped.
type Link interface {
	ReadFrame(buf []byte) (int, error)
	WriteFrame(frame []byte) error
	Close() error
}

// Optional powers of a Link.
type (
	// sizedLink carries packets of MTU bytes; others carry 1500.
	sizedLink interface{ MTU() int }
	// offloadLink cuts large TCP segments to size and sums them by itself, and
	// delivers frames whose checksums need no look.
	offloadLink interface {
		WriteSegments(offload, [][]byte) error
	}
	// splitLink reads the Ethernet header and the packet into two buffers, so
	// that a large packet lands where it stays. The count is of both.
	splitLink interface {
		ReadSplit(ethernet, packet []byte) (int, error)
	}
)

// offload is what the kernel needs to know of a TCP segment it is to cut up.
type offload struct {
	kind                          segmentKind
	checksum                      bool
	checksumStart, checksumOffset uint16 // in bytes from the start of the frame, and from there
	headerLen, segmentSize        uint16 // in bytes; segmentSize 0 leaves the segment whole
}

type segmentKind int

const (
	segmentTCP4 segmentKind = iota
	segmentTCP6
)

const (
	ethernetLen = 14
	maxPacket   = 65535
	maxFrame    = ethernetLen + maxPacket
)

var errLongFrame = errors.New("frame does not fit")

// CardLink is the link of a card, whatever a host made it of: a tap, or a socket
// whose other end is a virtual machine's. It takes card over, whatever it returns.
func CardLink(card *os.File) (Link, error) {
	info, err := card.Stat()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("network card: %w", err), card.Close())
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return TapLink(card)
	}
	conn, err := net.FileConn(card)
	err = errors.Join(err, card.Close())
	switch {
	case err != nil:
		return nil, fmt.Errorf("network card: %w", err)
	case conn.LocalAddr().Network() == "unix":
		return StreamLink(conn), nil
	}
	return DatagramLink(conn), nil
}

// StreamLink speaks QEMU's "-netdev stream": a length in four bytes, big
// endian, then the frame. A length above the largest frame ends the link, as
// the stream cannot be trusted any more.
func StreamLink(conn net.Conn) Link {
	return &streamLink{conn: conn, in: bufio.NewReaderSize(conn, 256<<10)}
}

type streamLink struct {
	conn net.Conn
	in   *bufio.Reader

	mu  sync.Mutex
	out []byte
}

func (l *streamLink) ReadFrame(buf []byte) (int, error) {
	var head [4]byte
	if _, err := io.ReadFull(l.in, head[:]); err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxFrame || int(n) > len(buf) {
		return 0, fmt.Errorf("stream link: frame of %d bytes, at most %d are allowed", n, len(buf))
	}
	return io.ReadFull(l.in, buf[:n])
}

func (l *streamLink) WriteFrame(frame []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.out = binary.BigEndian.AppendUint32(l.out[:0], uint32(len(frame)))
	l.out = append(l.out, frame...)
	_, err := l.conn.Write(l.out)
	return err
}

func (l *streamLink) Close() error { return l.conn.Close() }

// DatagramLink carries one frame in each datagram (QEMU's "-netdev dgram",
// VZFileHandleNetworkDeviceAttachment).
func DatagramLink(conn net.Conn) Link { return datagramLink{conn} }

type datagramLink struct{ conn net.Conn }

func (l datagramLink) ReadFrame(buf []byte) (int, error) {
	n, err := l.conn.Read(buf)
	if err == nil && n == len(buf) {
		return 0, errLongFrame // cut off by the socket, or as good as
	}
	return n, err
}

func (l datagramLink) WriteFrame(frame []byte) error {
	_, err := l.conn.Write(frame)
	return err
}

func (l datagramLink) Close() error { return l.conn.Close() }
