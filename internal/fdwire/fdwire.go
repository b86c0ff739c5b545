// Package fdwire carries small JSON messages, with open files attached, over a
// stream socket between two processes of one app run.
//
//	sender                                receiver
//	  | length (4 bytes, big endian) + fds  |
//	  | ----------------------------------> |  length > MaxMessage: connection is over
//	  | JSON, length bytes                  |  fds > MaxFiles: closed, connection is over
//	  | ----------------------------------> |
//
// Both ends bound what they take. A connection on which one message was wrong
// is of no further use: Recv goes on returning the error.
package fdwire

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
)

// Bounds of one message.
const (
	MaxMessage = 4 << 20 // bytes of JSON
	MaxFiles   = 64
)

const headerLen = 4

// Conn is one end. Send may be called from several goroutines, Recv from one.
type Conn struct {
	sock *net.UnixConn

	sendMu sync.Mutex
	broken error // of Recv, once set it stays
}

// New wraps a connected stream socket.
func New(sock *net.UnixConn) *Conn { return &Conn{sock: sock} }

// FromFile wraps an inherited socket and closes f.
func FromFile(f *os.File) (*Conn, error) {
	c, err := net.FileConn(f)
	closeErr := f.Close()
	if err != nil {
		return nil, fmt.Errorf("inherited socket: %w", err)
	}
	sock, isUnix := c.(*net.UnixConn)
	if !isUnix {
		return nil, errors.Join(fmt.Errorf("inherited socket is %T, not a unix socket", c), c.Close(), closeErr)
	}
	return New(sock), closeErr
}

// Close ends the connection; the other end's Recv returns io.EOF.
func (c *Conn) Close() error { return c.sock.Close() }

// Send writes msg with files attached. The files stay the caller's.
func (c *Conn) Send(msg any, files ...*os.File) error {
	body, err := json.Marshal(msg)
	if err != nil {
		return fmt.Errorf("message: %w", err)
	}
	if len(body) > MaxMessage {
		return fmt.Errorf("message of %d bytes, more than %d", len(body), MaxMessage)
	}
	if len(files) > MaxFiles {
		return fmt.Errorf("%d files in a message, more than %d", len(files), MaxFiles)
	}
	frame := make([]byte, headerLen, headerLen+len(body))
	binary.BigEndian.PutUint32(frame, uint32(len(body))) //nolint:gosec // bounded above
	frame = append(frame, body...)
	c.sendMu.Lock()
	defer c.sendMu.Unlock()
	return c.write(frame, files)
}

// Recv reads the next message into msg and returns the files that came with
// it, which are the caller's. io.EOF means the other end has gone.
func (c *Conn) Recv(msg any) ([]*os.File, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	files, err := c.recv(msg)
	if err != nil {
		c.broken = err
		CloseAll(files)
		return nil, err
	}
	return files, nil
}

func (c *Conn) recv(msg any) ([]*os.File, error) {
	var header [headerLen]byte
	files, err := c.readHeader(header[:])
	if err != nil {
		return files, err
	}
	length := binary.BigEndian.Uint32(header[:])
	if length > MaxMessage {
		return files, fmt.Errorf("message of %d bytes announced, more than %d", length, MaxMessage)
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(c.sock, body); err != nil {
		return files, fmt.Errorf("message body: %w", err)
	}
	if err := json.Unmarshal(body, msg); err != nil {
		return files, fmt.Errorf("message: %w", err)
	}
	return files, nil
}

// CloseAll closes files that nobody wants.
func CloseAll(files []*os.File) {
	for _, f := range files {
		f.Close()
	}
}
