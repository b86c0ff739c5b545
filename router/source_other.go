//go:build !linux

package router

import "net"

type source struct{ conn net.Conn }

func newSource(conn net.Conn) *source { return &source{conn} }

func (s *source) read(l *lent) ([]byte, error) {
	n, err := s.conn.Read(l.take())
	return l.take()[:n], err
}
