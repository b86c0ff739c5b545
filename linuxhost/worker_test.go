//go:build linux

package linuxhost_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/linuxhost"
)

const workerMemory = 1 << 30

// workerRole confines itself, tries what a taken-over worker would try on
// several threads, and reports the errno of each.
func workerRole(args []string) int {
	conn, err := fdwire.FromFile(os.NewFile(3, "wire"))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := linuxhost.ConfineWorker(linuxhost.Worker{Wasm: args[0] == "wasm", ReadDirs: []string{args[1]}, WriteDirs: []string{args[2]}, Memory: workerMemory}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var passed struct{}
	files, err := conn.Recv(&passed)
	if err != nil || len(files) != 1 {
		fmt.Fprintln(os.Stderr, "no file came:", err)
		return 1
	}
	text := make([]byte, 16)
	n, _ := files[0].Read(text)
	tried := map[string]string{"passed": string(text[:n])}
	var mu sync.Mutex
	var tries sync.WaitGroup
	for name, attempt := range attempts(args[1], args[2], args[3]) {
		tries.Go(func() {
			err := attempt()
			mu.Lock()
			defer mu.Unlock()
			tried[name] = verdict(err)
		})
	}
	tries.Wait()
	if err := conn.Send(tried, files[0]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func verdict(err error) string {
	var errno syscall.Errno
	switch {
	case err == nil:
		return "done"
	case errors.As(err, &errno):
		return unix.ErrnoName(errno)
	}
	return err.Error()
}

func attempts(readDir, writeDir, outside string) map[string]func() error {
	closing := func(fd int, err error) error {
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
	return map[string]func() error{
		"socket":     func() error { return closing(unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)) },
		"unix":       func() error { return closing(unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)) },
		"connect":    func() error { return unix.Connect(3, &unix.SockaddrUnix{Name: "/x"}) },
		"exec":       func() error { _, err := syscall.ForkExec("/bin/true", nil, nil); return err },
		"become":     func() error { return syscall.Exec("/bin/true", []string{"true"}, nil) },
		"ptrace":     func() error { return unix.PtraceAttach(1) },
		"mount":      func() error { return unix.Mount("x", "/", "tmpfs", 0, "") },
		"kill":       func() error { return unix.Kill(os.Getppid(), 0) },
		"outside":    func() error { _, err := os.ReadFile(outside); return err },
		"passwd":     func() error { _, err := os.ReadFile("/etc/passwd"); return err },
		"own memory": func() error { _, err := os.ReadFile("/proc/self/maps"); return err },
		"read":       func() error { _, err := os.ReadFile(filepath.Join(readDir, "f")); return err },
		"write ro":   func() error { return os.WriteFile(filepath.Join(readDir, "f"), []byte("x"), 0o600) },
		"write":      func() error { return os.WriteFile(filepath.Join(writeDir, "f"), []byte("x"), 0o600) },
		"runnable": func() error {
			m, err := unix.Mmap(-1, 0, 4096, unix.PROT_READ|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
			if err == nil {
				err = unix.Munmap(m)
			}
			return err
		},
		"setuid": func() error { return unix.Setuid(1) },
		// Address space that is only reserved does not count, memory does.
		"much memory": func() error {
			const much = workerMemory + 1
			space, err := unix.Mmap(-1, 0, much, unix.PROT_NONE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
			if err != nil {
				return fmt.Errorf("reserve: %w", err)
			}
			return errors.Join(unix.Mprotect(space, unix.PROT_READ|unix.PROT_WRITE), unix.Munmap(space))
		},
	}
}

func TestConfinedWorker(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	for kind, runnable := range map[string]string{"wasm": "done", "router": "EPERM"} {
		t.Run(kind, func(t *testing.T) {
			readDir, writeDir, outside := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "f")
			for _, path := range []string{filepath.Join(readDir, "f"), outside} {
				must(t, os.WriteFile(path, []byte("text"), 0o600))
			}
			ours, theirs, err := fdwire.Pair()
			must(t, err)
			worker := exec.Command(self, "test-worker", kind, readDir, writeDir, outside)
			worker.ExtraFiles, worker.Stderr = []*os.File{theirs}, os.Stderr
			must(t, worker.Start())
			theirs.Close()
			f, err := os.Open(outside)
			must(t, err)
			defer f.Close()
			must(t, ours.Send(struct{}{}, f))
			var got map[string]string
			back, err := ours.Recv(&got)
			if err != nil || len(back) != 1 {
				t.Fatalf("%v, %d files came back", err, len(back))
			}
			back[0].Close()
			must(t, worker.Wait())
			want := map[string]string{
				"passed": "text", "socket": "EPERM", "unix": "EPERM", "connect": "EPERM", "exec": "EPERM", "become": "EPERM", "ptrace": "EPERM",
				"mount": "ENOSYS", "kill": "EPERM", "outside": "EACCES", "passwd": "EACCES", "own memory": "EACCES",
				"read": "done", "write ro": "EACCES", "write": "done", "runnable": runnable, "setuid": "ENOSYS", "much memory": "ENOMEM",
			}
			for name, w := range want {
				if got[name] != w {
					t.Errorf("%s: %s, want %s", name, got[name], w)
				}
			}
			if text, err := os.ReadFile(filepath.Join(readDir, "f")); err != nil || string(text) != "text" {
				t.Errorf("read-only file is now %q, %v", text, err)
			}
			if all, err := json.Marshal(got); err == nil {
				t.Logf("%s", all)
			}
		})
	}
}
