//go:build !linux

package agent

import "errors"

// abort ends both directions for every process that holds the connection.
func abort(conn tcpConn) error {
	return errors.Join(conn.CloseRead(), conn.CloseWrite())
}

// tcpBytes: no portable counter exists.
func tcpBytes(tcpConn) (in, out int64) { return 0, 0 }
