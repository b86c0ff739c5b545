//go:build unix

package dial

import (
	"net"

	"github.com/consentry/consentry/internal/tcpfile"
)

// forPassing takes conn over.
func forPassing(conn net.Conn) (net.Conn, error) {
	tcp, isTCP := conn.(*net.TCPConn)
	if !isTCP {
		return conn, nil
	}
	return tcpfile.Unwatch(tcp)
}
