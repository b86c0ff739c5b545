//go:build unix

package wire

import (
	"net"
	"os"
	"time"

	"github.com/consentry/consentry/internal/tcpfile"
)

// newSocket makes a connection of a TCP socket that the agent has passed, and
// takes file over.
func newSocket(file *os.File, closed func()) (net.Conn, error) {
	if err := file.SetDeadline(time.Time{}); err != nil { // it blocks, so nothing could cut it
		file.Close()
		return nil, err
	}
	return &socket{tcpfile.New(file), closed}, nil
}

// socket has no addresses: a worker has no use for them.
type socket struct {
	*tcpfile.Conn
	closed func()
}

// Close may be called more than once.
func (s *socket) Close() error {
	err := s.Conn.Close()
	s.closed()
	return err
}
