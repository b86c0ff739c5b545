package router

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
)

// realHello is what crypto/tls sends first.
func realHello(t testing.TB, name string) []byte {
	t.Helper()
	client, server := net.Pipe()
	defer client.Close()
	done := make(chan []byte)
	go func() {
		head := make([]byte, tlsRecordHead)
		io.ReadFull(server, head)
		body := make([]byte, binary.BigEndian.Uint16(head[3:]))
		io.ReadFull(server, body)
		server.Close()
		done <- append(head, body...)
	}()
	tls.Client(client, &tls.Config{ServerName: name, InsecureSkipVerify: true}).Handshake()
	return <-done
}

// split cuts a hello's record into records of size bytes.
func split(hello []byte, size int) []byte {
	var out []byte
	for body := hello[tlsRecordHead:]; len(body) > 0; {
		n := min(size, len(body))
		out = append(out, tlsHandshake, 3, 1, byte(n>>8), byte(n))
		out, body = append(out, body[:n]...), body[n:]
	}
	return out
}

func TestHelloName(t *testing.T) {
	hello := realHello(t, "example.com")

	for _, c := range []struct {
		name string
		raw  []byte
		want string
		err  bool
	}{
		{"as sent", hello, "example.com", false},
		{"in records of 7 bytes", split(hello, 7), "example.com", false},
		{"in records of 1 byte", split(hello, 1), "example.com", false},
		{"without a name", realHello(t, ""), "", true},
		{"SSH", []byte("SSH-2.0-OpenSSH_9.2\r\n"), "", true},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), "", true},
		{"server hello", append(append([]byte{}, hello[:5]...), append([]byte{2}, hello[6:]...)...), "", true},
		{"huge", []byte{22, 3, 1, 0, 4, 1, 0xff, 0xff, 0xff}, "", true},
		{"empty record", []byte{22, 3, 1, 0, 0}, "", true},
	} {
		got, err := helloName(c.raw)
		if got != c.want || (err != nil) != c.err || errors.Is(err, errHelloPartial) {
			t.Errorf("%s: %q, %v", c.name, got, err)
		}
	}
	for n := range len(hello) {
		if _, err := helloName(hello[:n]); !errors.Is(err, errHelloPartial) {
			t.Fatalf("%d of %d bytes: %v", n, len(hello), err)
		}
	}
}

func TestTwoServerNamesAreRefused(t *testing.T) {
	one := []byte{0, 0, 0, 6, 0, 4, 0, 0, 1, 'a'}
	if name, err := serverName(one); name != "a" || err != nil {
		t.Fatalf("one: %q, %v", name, err)
	}
	if _, err := serverName(append(bytes.Clone(one), one...)); err == nil {
		t.Error("two extensions were taken")
	}
	if _, err := serverName([]byte{0, 0, 0, 10, 0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'}); err == nil {
		t.Error("a list of two was taken")
	}
}

func FuzzHello(f *testing.F) {
	hello := realHello(f, "example.com")
	f.Add(hello)
	f.Add(split(hello, 3))
	f.Add([]byte{22, 3, 1, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		name, err := helloName(raw)
		if err == nil && name == "" {
			t.Error("no name and no error")
		}
		if err == nil { // what is judged must be what a server reads
			if again, _ := helloName(append(bytes.Clone(raw), 0)); again != name {
				t.Errorf("more bytes made %q of %q", again, name)
			}
		}
	})
}
