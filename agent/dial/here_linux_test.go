package dial

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// to dials one address of this computer.
func to(ctx context.Context, at string) (net.Conn, error) {
	addr := netip.MustParseAddrPort(at)
	return New(Config{}).Dial(ctx, Route{}, Target{Network: "tcp", Host: addr.Addr().String(), Port: addr.Port()}, []netip.Addr{addr.Addr()})
}

func TestServersOfThisComputer(t *testing.T) {
	for _, at := range []string{"127.0.0.1:0", "[::1]:0", "127.3.2.1:0"} {
		l, err := net.Listen("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		conn, err := to(t.Context(), l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		server, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if conn.RemoteAddr().String() != l.Addr().String() {
			t.Errorf("it is connected to %s", conn.RemoteAddr())
		}
		theirs := passed(t, conn)
		theirs.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := theirs.Write([]byte("hello")); err != nil {
			t.Error(err)
		}
		if err := theirs.(*net.TCPConn).CloseWrite(); err != nil {
			t.Error(err)
		}
		if text, err := io.ReadAll(server); err != nil || string(text) != "hello" {
			t.Errorf("the server read %q, %v", text, err)
		}
		server.Close()
		if _, err := theirs.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
			t.Errorf("after the server's end: %v", err)
		}
		conn.Close()
		l.Close()
		_, err = to(t.Context(), l.Addr().String())
		var op *net.OpError
		if !errors.Is(err, unix.ECONNREFUSED) || !errors.As(err, &op) || !strings.Contains(err.Error(), l.Addr().String()) {
			t.Errorf("nobody listens: %v", err)
		}
	}
}

// TestAServerThatIsBusy: the queue of a listener is full, so that no connection is
// there at once.
func TestAServerThatIsBusy(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = errors.Join(unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}), unix.Listen(fd, 0))
	}
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	l, err := net.FileListener(file)
	file.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	first, err := to(t.Context(), l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	before := runtime.NumGoroutine()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	if _, err := to(ctx, l.Addr().String()); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	room := time.AfterFunc(100*time.Millisecond, func() {
		if conn, err := l.Accept(); err == nil {
			conn.Close()
		}
	})
	defer room.Stop()
	second, err := to(t.Context(), l.Addr().String()) // the SYN is sent again after a second
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}
