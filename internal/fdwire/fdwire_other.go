//go:build !unix

package fdwire

import (
	"errors"
	"io"
	"os"
)

var errNoFiles = errors.New("this system passes no open files between processes; only messages without files")

// Pair returns the two ends of a new connection.
func Pair() (*Conn, *os.File, error) { return nil, nil, errNoFiles }

// SocketPair returns two connected stream sockets.
func SocketPair() (a, b *os.File, err error) { return nil, nil, errNoFiles }

func (c *Conn) write(frame []byte, files []*os.File) error {
	if len(files) > 0 {
		return errNoFiles
	}
	_, err := c.sock.Write(frame)
	return err
}

func (c *Conn) readHeader(header []byte) ([]*os.File, error) {
	_, err := io.ReadFull(c.sock, header)
	return nil, err
}
