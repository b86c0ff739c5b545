//go:build linux

package linuxhost_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// TestNoSocketThroughAShare is row 66 of the threats: what serves on a socket
// in a shared folder must not hear from the app.
func TestNoSocketThroughAShare(t *testing.T) {
	b := newBench(t)
	folder := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(folder, "deep/er"), 0o777))
	heard := make(chan string, 10)
	for _, name := range []string{"agent.sock", "deep/er/ssh"} {
		path := filepath.Join(folder, name)
		l, err := net.Listen("unix", path)
		must(t, err)
		defer l.Close()
		must(t, os.Chmod(path, 0o777))
		go func() {
			for {
				c, err := l.Accept()
				if err != nil {
					return
				}
				heard <- name
				c.Close()
			}
		}()
	}
	fifo := filepath.Join(folder, "fifo")
	must(t, unix.Mkfifo(fifo, 0o666))
	reader, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
	must(t, err)
	defer reader.Close()
	must(t, os.WriteFile(filepath.Join(folder, "file"), []byte("of the user\n"), 0o644))
	const script = `cd /in; for s in agent.sock deep/er/ssh; do stat -c %F $s; echo told >$s; done
timeout 2 sh -c 'echo told >fifo'; ls -l | cut -c1 | sort -u; cat file`
	for _, readOnly := range []bool{true, false} {
		spec := b.spec(sh(script)...)
		spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/in", ReadOnly: readOnly}}
		got := b.run(spec)
		const want = "character special file\ncharacter special file\n-\nc\nd\nt\nof the user\n"
		if got.out != want {
			t.Errorf("read-only %v: the app sees %q, %q", readOnly, got.out, got.err)
		}
	}
	text := make([]byte, 10)
	if n, _ := reader.Read(text); n > 0 {
		t.Errorf("the pipe of the host was told %q", text[:n])
	}
	select {
	case name := <-heard:
		t.Errorf("%s heard from the app", name)
	case <-time.After(100 * time.Millisecond):
	}
}

func TestWhatIsNeverShared(t *testing.T) {
	b := newBench(t)
	home := t.TempDir()
	must(t, os.MkdirAll(filepath.Join(home, "ada/.ssh/x"), 0o700))
	must(t, os.MkdirAll(filepath.Join(home, "ada/project[1]"), 0o700))
	must(t, os.MkdirAll(filepath.Join(home, "ada/project[1]/.gnupg2"), 0o700))
	for source, refused := range map[string]bool{
		home: true, filepath.Join(home, "ada"): true, filepath.Join(home, "ada/.ssh"): true, filepath.Join(home, "ada/.ssh/x"): true,
		filepath.Join(home, "ada/project[1]"): false, "/run": true, "/": true, "/tmp": true, "/dev/shm": true, b.state: true,
	} {
		spec := b.spec("true")
		spec.Mounts = []sandbox.Mount{{Source: source, Target: "/in", ReadOnly: true}}
		if _, err := b.try(spec); errors.Is(err, sandbox.ErrInvalid) != refused {
			t.Errorf("%s: %v", source, err)
		}
	}
}

func TestTooManySocketsAreRefused(t *testing.T) {
	b := newBench(t)
	folder := t.TempDir()
	for i := range 257 {
		must(t, unix.Mkfifo(filepath.Join(folder, strings.Repeat("f", i%200+1)+string(rune('a'+i/200))), 0o600))
	}
	spec := b.spec("true")
	spec.Mounts = []sandbox.Mount{{Source: folder, Target: "/in"}}
	if _, err := b.try(spec); err == nil || !strings.Contains(err.Error(), "256 sockets") {
		t.Errorf("%v", err)
	}
}
