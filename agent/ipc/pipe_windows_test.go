package ipc

import (
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"testing"
)

func TestPipe(t *testing.T) {
	p := InHome(t.TempDir())
	if _, err := Dial(t.Context(), p); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nobody serves: %v", err)
	}
	l, err := Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	served := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			_, err = io.Copy(conn, io.LimitReader(conn, 5))
			err = errors.Join(err, conn.Close())
		}
		served <- err
	}()
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
	if err := <-served; err != nil {
		t.Error(err)
	}
}

func TestPipeNames(t *testing.T) {
	one, two := pipeName(InHome(`C:\Users\Ann`)), pipeName(InHome(`c:\users\ann`))
	if other := pipeName(InHome(`C:\Users\Bob`)); one != two || other == one {
		t.Errorf("%s, %s, %s", one, two, other)
	}
}

func TestPipeLock(t *testing.T) {
	p := InHome(t.TempDir())
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
