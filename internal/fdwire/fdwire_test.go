//go:build unix

package fdwire

import (
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

type note struct {
	N    int
	Text string
}

func connected(t *testing.T) (a, b *Conn) {
	t.Helper()
	a, file, err := Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err = FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

func TestMessagesAndFilesArriveTogether(t *testing.T) {
	a, b := connected(t)
	path := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	const messages = 50
	var sender sync.WaitGroup
	sender.Go(func() {
		for i := range messages {
			var files []*os.File
			if i%3 == 0 {
				f, err := os.Open(path)
				if err != nil {
					t.Error(err)
					return
				}
				files = append(files, f)
			}
			if err := a.Send(note{N: i, Text: strings.Repeat("x", i*1000)}, files...); err != nil {
				t.Error(err)
			}
			CloseAll(files)
		}
	})
	for i := range messages {
		var got note
		files, err := b.Recv(&got)
		if err != nil {
			t.Fatal(err)
		}
		if got.N != i || len(got.Text) != i*1000 {
			t.Fatalf("message %d came as %d with %d bytes", i, got.N, len(got.Text))
		}
		if want := i%3 == 0; want != (len(files) == 1) {
			t.Fatalf("message %d came with %d files", i, len(files))
		}
		for _, f := range files {
			if flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
				t.Errorf("another program would have it: %#x, %v", flags, err)
			}
			if text, err := io.ReadAll(f); err != nil || string(text) != "hello" {
				t.Fatalf("passed file reads %q, %v", text, err)
			}
		}
		CloseAll(files)
	}
	sender.Wait()
}

func TestBoundsEndTheConnection(t *testing.T) {
	for name, length := range map[string]uint32{"one over": MaxMessage + 1, "all ones": 1<<32 - 1} {
		t.Run(name, func(t *testing.T) {
			a, b := connected(t)
			var header [4]byte
			binary.BigEndian.PutUint32(header[:], length)
			if _, err := a.sock.Write(header[:]); err != nil {
				t.Fatal(err)
			}
			var got note
			_, first := b.Recv(&got)
			if first == nil || !strings.Contains(first.Error(), "more than") {
				t.Fatalf("got %v", first)
			}
			if _, again := b.Recv(&got); !errors.Is(again, first) {
				t.Fatalf("second Recv: %v", again)
			}
		})
	}
}

func TestHangUpIsEOF(t *testing.T) {
	a, b := connected(t)
	a.Close()
	if _, err := b.Recv(&note{}); !errors.Is(err, io.EOF) {
		t.Fatalf("got %v", err)
	}
}

func TestTooManyFilesAreRefusedBeforeSending(t *testing.T) {
	a, _ := connected(t)
	files := make([]*os.File, MaxFiles+1)
	if err := a.Send(note{}, files...); err == nil {
		t.Fatal("sent")
	}
}
