//go:build unix

package agent

import (
	"net"

	"github.com/consentry/consentry/internal/tcpfile"
)

// unwatch takes over a connection that a worker will read and write.
func unwatch(conn *net.TCPConn) (tcpConn, error) { return tcpfile.Unwatch(conn) }
