package router

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"reflect"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// sockets returns two connected unix sockets.
func sockets(t *testing.T, kind int) [2]net.Conn {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
	if err != nil {
		t.Fatal(err)
	}
	var conns [2]net.Conn
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "link")
		if conns[i], err = net.FileConn(file); err != nil {
			t.Fatal(err)
		}
		file.Close()
	}
	return conns
}

// TestRouterBehindEveryLink sends the same frames over the links of QEMU's
// stream and dgram sockets and of vz, and wants the same answers.
func TestRouterBehindEveryLink(t *testing.T) {
	for _, c := range []struct {
		name string
		kind int
		link func(net.Conn) Link
	}{
		{"stream", unix.SOCK_STREAM, StreamLink},
		{"datagram", unix.SOCK_DGRAM, DatagramLink},
	} {
		t.Run(c.name, func(t *testing.T) {
			pair := sockets(t, c.kind)
			broker := &fakeBroker{}
			broker.set(refusing(sandbox.ErrDenied))
			r, err := New(Config{Link: c.link(pair[0]), Broker: broker})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- r.Run(ctx) }()
			app := c.link(pair[1])
			pair[1].SetDeadline(time.Now().Add(20 * time.Second))
			for _, src := range []netip.Addr{appNet4.Addr(), appNet6.Addr()} {
				dst := literal(map[bool]string{true: "ip4", false: "ip6"}[src.Is4()])
				must(t, app.WriteFrame(make([]byte, 13)))
				must(t, app.WriteFrame(goodSYN(src, dst)))
				reply := make([]byte, maxFrame)
				n, err := app.ReadFrame(reply)
				if err != nil || !bytes.Equal(reply[:6], appMAC[:]) || n < ethernetLen+40 {
					t.Fatalf("answer of %d bytes, %v", n, err)
				}
			}
			if drops := r.Stats().Drops; drops["short"] != 2 || drops["denied"] != 2 {
				t.Errorf("counted %v", drops)
			}
			cancel()
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestStreamLengthsAreBounded: a length prefix must not lead to an allocation.
func TestStreamLengthsAreBounded(t *testing.T) {
	for _, n := range []uint32{maxFrame + 1, 1 << 30, 1<<32 - 1} {
		pair := sockets(t, unix.SOCK_STREAM)
		pair[1].Write(binary.BigEndian.AppendUint32(nil, n))
		if _, err := StreamLink(pair[0]).ReadFrame(make([]byte, maxFrame+1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("a frame of %d bytes: %v", n, err)
		}
		pair[0].Close()
		pair[1].Close()
	}
}

// TestCardLink: the kind of a socket says how frames are told apart on it.
func TestCardLink(t *testing.T) {
	for kind, want := range map[int]Link{unix.SOCK_STREAM: &streamLink{}, unix.SOCK_DGRAM: datagramLink{}} {
		fds, err := unix.Socketpair(unix.AF_UNIX, kind, 0)
		must(t, err)
		link, err := CardLink(os.NewFile(uintptr(fds[0]), "card"))
		must(t, err)
		if reflect.TypeOf(link) != reflect.TypeOf(want) {
			t.Errorf("a socket of type %d is a %T, want %T", kind, link, want)
		}
		must(t, link.Close())
		if kind == unix.SOCK_STREAM { // the other kind has no end to be read
			if n, err := unix.Read(fds[1], make([]byte, 1)); n != 0 || err != nil {
				t.Errorf("the socket is open after the link's end: %d, %v", n, err)
			}
		}
		must(t, unix.Close(fds[1]))
	}
	file, err := os.CreateTemp(t.TempDir(), "")
	must(t, err)
	if _, err := CardLink(file); err == nil {
		t.Error("a file is a network card")
	}
}

func TestLongDatagramIsSkipped(t *testing.T) {
	pair := sockets(t, unix.SOCK_DGRAM)
	defer pair[0].Close()
	defer pair[1].Close()
	link := DatagramLink(pair[0])
	pair[1].Write(make([]byte, 100))
	if _, err := link.ReadFrame(make([]byte, 50)); !errors.Is(err, errLongFrame) {
		t.Errorf("a datagram that does not fit: %v", err)
	}
}
