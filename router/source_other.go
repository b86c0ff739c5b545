//go:build !linux

package router

import "net"

type source struct{ conn net.Conn }

func newSource(conn net.Conn) source { return source{conn} }

func (s *source) canPark() bool { return false }

// forward moves some bytes to the app, and returns how many.
func (s *source) forward(to *splice, l *lent) (int, error) {
	buf := l.take(spliceBuffer)
	n, err := s.conn.Read(buf)
	if n > 0 {
		if lost := to.toApp(buf[:n]); lost != nil {
			return 0, lost
		}
	}
	return n, err
}

// receive reads one datagram.
func (s *source) receive(l *lent) ([]byte, error) {
	buf := l.take(spliceBuffer)
	n, err := s.conn.Read(buf)
	return buf[:n], err
}

type outlet struct{ conn net.Conn }

// forward moves what the app has sent, and returns how much; errWait when
// that is nothing.
func (o *outlet) forward(app *appConn, l *lent) (int, error) {
	data, err := app.receiveLent(l)
	if len(data) == 0 || err != nil {
		return 0, err
	}
	return o.conn.Write(data)
}
