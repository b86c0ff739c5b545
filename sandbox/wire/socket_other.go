//go:build !unix

package wire

import (
	"net"
	"os"
)

// newSocket takes file over.
func newSocket(file *os.File, closed func()) (net.Conn, error) {
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return &otherFlow{Conn: conn, closed: closed}, nil
}
