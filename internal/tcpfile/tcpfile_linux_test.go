package tcpfile

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func pair(t *testing.T) (ours, theirs *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); far.Close() })
	return conn.(*net.TCPConn), far.(*net.TCPConn)
}

// descriptor of a socket or file.
func descriptor(t *testing.T, c syscall.Conn) (fd int) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(n uintptr) { fd = int(n) })
	return fd
}

// watches says whether an epoll instance of this process has fd.
func watches(t *testing.T, fd int) bool {
	t.Helper()
	all, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range all {
		if kind, _ := os.Readlink(one); kind != "anon_inode:[eventpoll]" {
			continue
		}
		info, err := os.ReadFile("/proc/self/fdinfo/" + filepath.Base(one))
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(info)) {
			var number int
			if n, _ := fmt.Sscanf(line, "tfd: %d", &number); n == 1 && number == fd {
				return true
			}
		}
	}
	return false
}

func TestUnwatched(t *testing.T) {
	conn, far := pair(t)
	near, there := conn.LocalAddr().String(), conn.RemoteAddr().String()
	if !watches(t, descriptor(t, conn)) {
		t.Error("nobody watches a connection of package net: this test shows nothing")
	}
	c, err := Unwatch(conn)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.LocalAddr().String() != near || c.RemoteAddr().String() != there {
		t.Errorf("it goes from %s to %s", c.LocalAddr(), c.RemoteAddr())
	}
	if _, err := conn.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the old connection: %v", err)
	}
	file, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, fd := range []int{descriptor(t, c), descriptor(t, file)} {
		if watches(t, fd) {
			t.Errorf("descriptor %d is watched", fd)
		}
		flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
		closes, fault := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if err != nil || fault != nil || flags&unix.O_NONBLOCK == 0 || closes&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor %d has %#x and %#x, %v, %v", fd, flags, closes, err, fault)
		}
	}
	theirs, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	far.SetDeadline(time.Now().Add(10 * time.Second))
	theirs.Write([]byte("hello"))
	c.CloseWrite() // of the socket that both have
	if text, err := io.ReadAll(far); err != nil || string(text) != "hello" {
		t.Errorf("%q came, %v", text, err)
	}
}

// TestNew: a socket that was passed is read with deadlines.
func TestNew(t *testing.T) {
	conn, far := pair(t)
	file, err := conn.File()
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	c := New(file)
	defer c.Close()
	if err := c.SetReadDeadline(time.Now().Add(20 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("nothing came: %v", err)
	}
	if err := errors.Join(c.SetDeadline(time.Time{}), c.SetLinger(0), c.Close()); err != nil {
		t.Fatal(err)
	}
	far.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
		t.Errorf("the far end sees %v", err)
	}
}
