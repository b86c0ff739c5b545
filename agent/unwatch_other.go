//go:build !unix

package agent

import "net"

func unwatch(conn *net.TCPConn) (tcpConn, error) { return conn, nil }
