//go:build unix

package ipc

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const nobody = 65534

// TestMain lets a test start this binary as another user who dials a socket.
func TestMain(m *testing.M) {
	if socket := os.Getenv("DIAL_SOCKET"); socket != "" {
		os.Exit(dialAsStranger(socket))
	}
	if socket := os.Getenv("SERVE_SOCKET"); socket != "" {
		os.Exit(serveAsStranger(socket))
	}
	os.Exit(m.Run())
}

// dialAsStranger ends with 0 if it got an answer, 3 if it was cut off.
func dialAsStranger(socket string) int {
	conn, err := net.Dial("unix", socket)
	if err != nil {
		return 4
	}
	_, _ = conn.Write([]byte("hello"))
	answer, _ := io.ReadAll(conn)
	if len(answer) > 0 {
		return 0
	}
	return 3
}

func serveAsStranger(socket string) int {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return 4
	}
	_ = os.Chmod(socket, 0o666) //nolint:gosec // the point of the test
	conn, err := l.Accept()
	if err != nil {
		return 5
	}
	_, _ = io.Copy(io.Discard, conn)
	return 0
}

func asNobody(t *testing.T, env string) *exec.Cmd {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root: starts a process of another user")
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{env}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// echo answers every connection and counts them.
func echo(t *testing.T, l net.Listener) (served func() int) {
	t.Helper()
	var mu sync.Mutex
	n := 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
			_, _ = conn.Write([]byte("welcome"))
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return func() int { mu.Lock(); defer mu.Unlock(); return n }
}

func TestSocketIsPrivate(t *testing.T) {
	p := InHome(filepath.Join(t.TempDir(), "deep", "home"))
	l, err := Listen(p, quiet())
	if err != nil {
		t.Fatal(err)
	}
	served := echo(t, l)
	for path, want := range map[string]fs.FileMode{p.Runtime: 0o700 | fs.ModeDir, p.Socket: 0o600 | fs.ModeSocket} {
		info, err := os.Lstat(path)
		if err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", path, info.Mode(), err, want)
		}
	}
	conn, err := Dial(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close() //nolint:errcheck // a test's
	if answer, _ := io.ReadAll(conn); string(answer) != "welcome" || served() != 1 {
		t.Errorf("answer %q, %d served", answer, served())
	}
}

// The folder alone keeps strangers out; here it is opened to show that the
// credentials do as well.
// Probe 59: another user at the local API.
func TestStrangerIsRefused(t *testing.T) {
	p := InHome(openFolder(t))
	var log bytes.Buffer
	l, err := Listen(p, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	served := echo(t, l)
	if code := run(asNobody(t, "DIAL_SOCKET="+p.Socket)); code != 4 {
		t.Errorf("through the closed folder: code %d, want 4", code)
	}
	for path, mode := range map[string]fs.FileMode{p.Runtime: 0o711, p.Socket: 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if code := run(asNobody(t, "DIAL_SOCKET="+p.Socket)); code != 3 {
		t.Errorf("with the folder open: code %d, want 3", code)
	}
	if served() != 0 {
		t.Fatalf("%d connections of a stranger were served", served())
	}
	// The next one of ours is.
	conn, err := Dial(context.Background(), p)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadAll(conn)
	_ = conn.Close()
	if served() != 1 {
		t.Errorf("%d served, want 1", served())
	}
	if !strings.Contains(log.String(), "uid 65534") {
		t.Errorf("not in the log: %s", log.String())
	}
}

// An agent that another user put up at our path gets nothing from us.
func TestDialRefusesAgentOfAnother(t *testing.T) {
	dir := openFolder(t)
	if err := os.Chmod(dir, 0o777); err != nil { //nolint:gosec // the point of the test
		t.Fatal(err)
	}
	p := Paths{Runtime: dir, Socket: filepath.Join(dir, "agent.sock")}
	cmd := asNobody(t, "SERVE_SOCKET="+p.Socket)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for until := time.Now().Add(5 * time.Second); time.Now().Before(until); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(p.Socket); err == nil {
			break
		}
	}
	time.Sleep(50 * time.Millisecond)
	conn, err := Dial(context.Background(), p)
	if !errors.Is(err, ErrStranger) || conn != nil {
		t.Fatalf("%v, %v; want ErrStranger", conn, err)
	}
}

// openFolder is a temporary folder every user can reach.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/tmp", "ipc")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // the point of the test
		t.Fatal(err)
	}
	return dir
}

func run(cmd *exec.Cmd) int {
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	if err != nil {
		return -1
	}
	return 0
}

func TestAdmits(t *testing.T) {
	for _, c := range []struct {
		own, peer int
		want      bool
	}{{1000, 1000, true}, {1000, 0, true}, {0, 0, true}, {1000, 1001, false}, {0, 1000, false}} {
		if got := admits(c.own, c.peer); got != c.want {
			t.Errorf("own %d, peer %d: %v", c.own, c.peer, got)
		}
	}
}

func TestRuntimeFolderOfOthers(t *testing.T) {
	dir := t.TempDir()
	link := filepath.Join(dir, "link")
	if err := os.Symlink(t.TempDir(), link); err != nil {
		t.Fatal(err)
	}
	if err := MakeRuntime(Paths{Runtime: link}); err == nil {
		t.Error("a link was taken")
	}
	wide := filepath.Join(dir, "wide")
	if err := os.Mkdir(wide, 0o777); err != nil { //nolint:gosec // the point of the test
		t.Fatal(err)
	}
	if err := MakeRuntime(Paths{Runtime: wide}); err != nil {
		t.Error(err)
	}
	if info, err := os.Stat(wide); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("%v, %v: want 0700", info.Mode(), err)
	}
	if os.Getuid() != 0 {
		t.Skip("needs root: gives a folder to another user")
	}
	if err := os.Chown(wide, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	if err := MakeRuntime(Paths{Runtime: wide}); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("the folder of another user: %v", err)
	}
}

func TestLock(t *testing.T) {
	p := InHome(t.TempDir())
	first, err := Lock(p)
	if err != nil {
		t.Fatal(err)
	}
	if second, err := Lock(p); !errors.Is(err, ErrLocked) || second != nil {
		t.Fatalf("a second lock: %v, %v", second, err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	third, err := Lock(p)
	if err != nil {
		t.Fatalf("after the first was given back: %v", err)
	}
	_ = third.Close()
}

// An agent that is ending is waited for; one that serves is not.
func TestWaitLock(t *testing.T) {
	p := InHome(t.TempDir())
	first, err := Lock(p)
	if err != nil {
		t.Fatal(err)
	}
	l, err := Listen(p, quiet())
	if err != nil {
		t.Fatal(err)
	}
	if second, err := WaitLock(t.Context(), p); !errors.Is(err, ErrLocked) || second != nil {
		t.Fatalf("while the first serves: %v, %v", second, err)
	}
	_ = l.Close()
	given := make(chan time.Time, 1)
	time.AfterFunc(300*time.Millisecond, func() { given <- time.Now(); _ = first.Close() })
	second, err := WaitLock(t.Context(), p)
	if err != nil {
		t.Fatalf("while the first ends: %v", err)
	}
	if taken := time.Now(); taken.Before(<-given) {
		t.Error("two agents at once")
	}
	_ = second.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	third, err := Lock(p)
	if err != nil {
		t.Fatal(err)
	}
	defer third.Close()
	if _, err := WaitLock(ctx, p); !errors.Is(err, ErrLocked) {
		t.Errorf("told to give up: %v", err)
	}
}

// A socket left by a killed agent does not stand in the way.
func TestListenOverDeadSocket(t *testing.T) {
	p := InHome(t.TempDir())
	for range 2 {
		l, err := Listen(p, quiet())
		if err != nil {
			t.Fatal(err)
		}
		l.(*guarded).SetUnlinkOnClose(false)
		_ = l.Close()
	}
}
