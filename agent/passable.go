package agent

import (
	"fmt"
	"net"
	"syscall"

	"github.com/consentry/consentry/agent/worker"
)

// makePassable takes over conn.
func makePassable(conn net.Conn) (passable, error) {
	switch c := conn.(type) {
	case passable:
		return c, nil
	case *net.UDPConn:
		return newUDPFlow(c)
	case tcpConn:
		return &tcpFlow{c}, nil
	default:
		return nil, fmt.Errorf("a %T cannot be passed to a worker", conn)
	}
}

// tcpFlow is passed as it is: connected, it leads nowhere else.
type tcpFlow struct{ tcpConn }

// tcpConn is package net's, or package dial's to servers of this computer.
type tcpConn interface {
	net.Conn
	worker.Filer
	syscall.Conn
	CloseRead() error
	CloseWrite() error
}

func (f *tcpFlow) cut() error { return abort(f.tcpConn) }

func (f *tcpFlow) bytes() (in, out int64) { return tcpBytes(f.tcpConn) }

func (f *tcpFlow) dialled() string { return f.RemoteAddr().String() }
