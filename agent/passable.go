package agent

import (
	"fmt"
	"net"
	"os"
)

// filer is what the sockets of package net offer: a duplicate as a file.
type filer interface{ File() (*os.File, error) }

// makePassable takes over conn.
func makePassable(conn net.Conn) (passable, error) {
	switch c := conn.(type) {
	case passable:
		return c, nil
	case *net.TCPConn:
		return &tcpFlow{TCPConn: c}, nil
	case *net.UDPConn:
		return newUDPFlow(c)
	default:
		return nil, fmt.Errorf("a %T cannot be passed to a worker", conn)
	}
}

// tcpFlow is passed as it is: connected, it leads nowhere else.
type tcpFlow struct{ *net.TCPConn }

func (f *tcpFlow) cut() error { return abort(f.TCPConn) }

func (f *tcpFlow) bytes() (in, out int64) { return tcpBytes(f.TCPConn) }

func (f *tcpFlow) dialled() string { return f.RemoteAddr().String() }
