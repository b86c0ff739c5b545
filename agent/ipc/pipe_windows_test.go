package ipc

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"testing"
)

// home is a folder that need not be gone at the end: Wine 8 removes none.
func home(t *testing.T) string {
	dir, err := os.MkdirTemp("", "pipe")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func TestPipe(t *testing.T) {
	p := InHome(home(t))
	if _, err := Dial(t.Context(), p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody serves: %v", err)
	}
	l, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				io.Copy(conn, io.LimitReader(conn, 5))
				conn.Close()
			})
		}
	})
	defer served.Wait()
	defer l.Close()
	if os.Getenv("WINEPREFIX") != "" { // Wine gives the first who comes to the instance that only keeps the name
		lost, err := Dial(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		defer lost.Close()
	}
	conn, err := Dial(t.Context(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.WriteString(conn, "hello"); err != nil {
		t.Fatal(err)
	}
	echo := make([]byte, 5)
	if _, err := io.ReadFull(conn, echo); err != nil || string(echo) != "hello" {
		t.Errorf("echo %q, %v", echo, err)
	}
}

func TestPipeNames(t *testing.T) {
	one, two := pipeName(InHome(`C:\Users\Ann`)), pipeName(InHome(`c:\users\ann`))
	if other := pipeName(InHome(`C:\Users\Bob`)); one != two || other == one {
		t.Errorf("%s, %s, %s", one, two, other)
	}
}

func TestPipeLock(t *testing.T) {
	p := InHome(home(t))
	lock, err := Lock(p)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Lock(p); !errors.Is(err, ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := Lock(p)
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
}
