package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"net"

	"github.com/consentry/consentry/sandbox"
)

// A UDP flow crosses between two processes on a pair of sockets that keeps
// messages apart:
//
//	datagram, 0            both ways
//	room (2 bytes), kind   to the worker: what ICMP said (sandbox.Trouble)
//
// The last byte keeps an empty datagram from looking like a hang-up.

// MaxDatagram is the largest message, in bytes: the largest datagram, and one.
const MaxDatagram = 64 << 10

// SendDatagram writes data as one message.
func SendDatagram(pair net.Conn, data []byte) error {
	message := net.Buffers{data, []byte{0}}
	_, err := message.WriteTo(pair) // one system call, so one message
	return err
}

// SendTrouble writes t as one message.
func SendTrouble(pair net.Conn, t sandbox.Trouble) error {
	room := min(max(t.Room, 0), math.MaxUint16)
	message := binary.BigEndian.AppendUint16(nil, uint16(room)) //nolint:gosec // bounded above
	_, err := pair.Write(append(message, byte(t.Kind)))
	return err
}

// troubleLen is the size of a message that is no datagram, in bytes.
const troubleLen = 3

// Unframe returns the datagram in a message, or a sandbox.Trouble.
func Unframe(message []byte) ([]byte, error) {
	if len(message) == 0 {
		return nil, fmt.Errorf("%w: an empty message", sandbox.ErrInvalid)
	}
	last := len(message) - 1
	kind := sandbox.TroubleKind(message[last])
	switch {
	case kind == 0:
		return message[:last], nil
	case kind.Known() && len(message) == troubleLen:
		return nil, sandbox.Trouble{Kind: kind, Room: int(binary.BigEndian.Uint16(message))}
	}
	return nil, fmt.Errorf("%w: a message of %d bytes that ends with %d", sandbox.ErrInvalid, len(message), kind)
}

// datagramFlow is a worker's end. Read wants room for a byte more than the
// datagram.
type datagramFlow struct {
	*net.UnixConn
	closed func()
}

func (f *datagramFlow) Read(b []byte) (int, error) {
	n, err := f.UnixConn.Read(b)
	if err != nil {
		return 0, err
	}
	data, err := Unframe(b[:n])
	return len(data), err
}

func (f *datagramFlow) Write(b []byte) (int, error) {
	if err := SendDatagram(f.UnixConn, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// Unframe is for a reader that has the descriptor.
func (f *datagramFlow) Unframe(message []byte) ([]byte, error) { return Unframe(message) }

func (f *datagramFlow) Close() error {
	err := f.UnixConn.Close()
	f.closed()
	return err
}
