package router

import (
	"cmp"
	"errors"
	"io"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
)

// directRead is from where on, in bytes, what waits in a socket is read into
// the stack's own buffers. They come in large pieces, so that little data would
// hold much memory there.
const directRead = 32 << 10

// source reads a connection outside; raw is nil for one without a descriptor.
type source struct {
	conn net.Conn
	raw  syscall.RawConn
}

func newSource(conn net.Conn) source {
	s := source{conn: conn}
	if sys, ok := conn.(syscall.Conn); ok {
		if raw, err := sys.SyscallConn(); err == nil {
			s.raw = raw
		}
	}
	return s
}

// canPark says whether the connection can wait in a lot.
func (s *source) canPark() bool { return s.raw != nil }

// forward moves some bytes to the app, and returns how many. It takes a buffer
// from l, and gives it back while there is nothing to read.
func (s *source) forward(to *splice, l *lent) (int, error) {
	if s.raw == nil {
		buf := l.take(spliceBuffer)
		n, err := s.conn.Read(buf)
		return sendRead(to, buf[:n], err)
	}
	var buf []byte
	n, direct, err := 0, 0, error(nil)
	wait := s.raw.Read(func(fd uintptr) bool {
		waiting := unread(int(fd))
		if waiting >= directRead && !to.answers.waiting() {
			if direct, err = sendWaiting(to.app, int(fd), waiting); direct > 0 || err != nil {
				return true
			}
		}
		buf = l.take(waiting)
		for n, err = unix.Read(int(fd), buf); err == unix.EINTR; {
			n, err = unix.Read(int(fd), buf)
		}
		if err != unix.EAGAIN {
			return true
		}
		l.giveBack()
		return false
	})
	switch {
	case wait != nil:
		return 0, wait
	case direct > 0 || err != nil:
		return direct, err
	case n == 0:
		return 0, io.EOF
	}
	return sendRead(to, buf[:n], nil)
}

// receive reads one datagram into a buffer of l, which is given back while there
// is none. Nothing at all is the end of a connection that keeps messages apart.
func (s *source) receive(l *lent) ([]byte, error) {
	if s.raw == nil {
		buf := l.take(spliceBuffer)
		n, err := s.conn.Read(buf)
		return buf[:n], err
	}
	var buf []byte
	n, err := 0, error(nil)
	wait := s.raw.Read(func(fd uintptr) bool {
		buf = l.take(cmp.Or(unread(int(fd)), maxDatagram)) // one that comes just now must fit too
		for n, err = unix.Read(int(fd), buf); err == unix.EINTR; {
			n, err = unix.Read(int(fd), buf)
		}
		if err == unix.EAGAIN {
			l.giveBack()
			return false
		}
		return true
	})
	if wait == nil && err == nil && n == 0 && s.keepsMessages() {
		err = io.EOF
	}
	if wait != nil || err != nil {
		return nil, firstError(wait, err)
	}
	return buf[:n], nil
}

// keepsMessages says that an empty read is a hang-up, not an empty datagram.
func (s *source) keepsMessages() bool {
	_, isUDP := s.conn.(interface {
		ReadFromUDP([]byte) (int, *net.UDPAddr, error)
	})
	return !isUDP
}

// unread is how many bytes wait in a socket; reading tells of errors.
func unread(fd int) int {
	n, err := unix.IoctlGetInt(fd, unix.TIOCINQ)
	if err != nil {
		return 0
	}
	return n
}

func sendRead(to *splice, data []byte, err error) (int, error) {
	if len(data) > 0 {
		if lost := to.toApp(data); lost != nil {
			return 0, lost
		}
	}
	return len(data), err
}

// sendWaiting sends some of what waits in a socket, segment by segment, as far as
// the app takes it. Each then lies in one piece of the stack's memory.
func sendWaiting(app *appConn, fd, waiting int) (sent int, err error) {
	for waiting >= directRead && sent < spliceBuffer {
		n, fault := app.ep.Write(&payload{fd: fd, left: min(waiting, segmentData)}, tcpip.WriteOptions{})
		if wouldBlock(fault) {
			break
		}
		if fault != nil {
			return sent, failure(fault)
		}
		sent += int(n)
		waiting -= int(n)
	}
	return sent, nil
}

// payload is what waits in a socket.
type payload struct{ fd, left int }

func (p *payload) Len() int { return p.left }

// errVanished ends a connection whose bytes were there and are not: it was
// disconnected. gVisor would wait for them for ever after an io.EOF.
var errVanished = errors.New("the connection was cut while it was read")

func (p *payload) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	n, err := unix.Read(p.fd, b[:min(len(b), max(p.left, 1))])
	for err == unix.EINTR {
		n, err = unix.Read(p.fd, b[:min(len(b), max(p.left, 1))])
	}
	if err != nil || n <= 0 {
		return 0, errVanished
	}
	p.left -= n
	return n, nil
}

// outlet writes to a connection outside; raw is nil for one without a descriptor.
type outlet struct {
	conn net.Conn
	raw  syscall.RawConn
}

// forward moves what the app has sent, and returns how much; errWait when that
// is nothing. io.EOF is the app's half-close.
func (o *outlet) forward(app *appConn, l *lent) (int, error) {
	if o.raw == nil {
		data, err := app.receiveLent(l)
		if len(data) == 0 || err != nil {
			return 0, err
		}
		return o.conn.Write(data)
	}
	n, fault, err := o.pour(app, l)
	switch {
	case n > 0 || err != nil:
		return n, err
	case wouldBlock(fault):
		l.giveBack()
		return 0, errWait
	}
	return 0, failure(fault)
}

// pour writes from the stack's buffers to the socket until either has no more;
// fault is the stack's.
func (o *outlet) pour(app *appConn, l *lent) (n int, fault tcpip.Error, err error) {
	w := gather{buf: l.take(app.waiting())}
	wait := o.raw.Write(func(fd uintptr) bool {
		w.fd, w.err = int(fd), nil
		if w.flush() {
			_, fault = app.ep.Read(&w, tcpip.ReadOptions{})
		}
		return w.flush() || w.err != unix.EAGAIN
	})
	if wait != nil {
		return w.sent, nil, wait
	}
	return w.sent, fault, w.err
}

// directWrite is from where on, in bytes, a piece is written by itself; smaller
// ones are gathered.
const directWrite = 16 << 10

// gather is the io.Writer that gVisor reads into. It must not take less than it
// was given without an error.
type gather struct {
	fd          int
	buf         []byte
	from, until int // what waits in buf
	sent        int
	err         error
}

func (g *gather) Write(b []byte) (int, error) {
	if len(b) < directWrite {
		if g.until+len(b) > len(g.buf) && !g.flush() {
			return 0, g.err
		}
		if len(b) <= len(g.buf) {
			g.until += copy(g.buf[g.until:], b)
			return len(b), nil
		}
	}
	if !g.flush() {
		return 0, g.err
	}
	n := g.write(b)
	return n, g.err
}

// flush says whether nothing waits any more.
func (g *gather) flush() bool {
	if g.err != nil {
		return false
	}
	if g.from < g.until {
		g.from += g.write(g.buf[g.from:g.until])
	}
	if g.err == nil {
		g.from, g.until = 0, 0
	}
	return g.err == nil
}

func (g *gather) write(b []byte) (n int) {
	for n < len(b) {
		m, err := unix.Write(g.fd, b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			g.err = err
			break
		}
		n += m
	}
	g.sent += n
	return n
}
