package wire

import (
	"errors"
	"fmt"
	"net"
	"syscall"

	"github.com/consentry/consentry/sandbox"
)

// A UDP flow crosses between two processes on a pair of sockets that keeps
// messages apart:
//
//	datagram, trouble{none}              both ways
//	trouble{refused|unreachable}         to the worker: what ICMP said
//
// The last byte keeps an empty datagram from looking like a hang-up.

// trouble is that last byte.
type trouble byte

const (
	troubleNone trouble = iota
	troubleRefused
	troubleUnreachable
)

// MaxDatagram is the largest message, in bytes: the largest datagram, and one.
const MaxDatagram = 64 << 10

// SendDatagram writes data as one message.
func SendDatagram(pair net.Conn, data []byte) error {
	message := net.Buffers{data, []byte{byte(troubleNone)}}
	_, err := message.WriteTo(pair) // one system call, so one message
	return err
}

// SendTrouble passes on an error about a datagram that was sent. Errors that
// are about something else are returned.
func SendTrouble(pair net.Conn, err error) error {
	var kind trouble
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		kind = troubleRefused
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		kind = troubleUnreachable
	default:
		return err
	}
	_, err = pair.Write([]byte{byte(kind)})
	return err
}

// Unframe returns the datagram in a message, syscall.ECONNREFUSED or
// EHOSTUNREACH.
func Unframe(message []byte) ([]byte, error) {
	if len(message) == 0 {
		return nil, fmt.Errorf("%w: an empty message", sandbox.ErrInvalid)
	}
	last := len(message) - 1
	switch trouble(message[last]) {
	case troubleNone:
		return message[:last], nil
	case troubleRefused:
		return nil, syscall.ECONNREFUSED
	case troubleUnreachable:
		return nil, syscall.EHOSTUNREACH
	}
	return nil, fmt.Errorf("%w: a message that ends with %d", sandbox.ErrInvalid, message[last])
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
