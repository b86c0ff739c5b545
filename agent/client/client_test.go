//go:build unix

package client_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/client/clienttest"
	"github.com/consentry/consentry/agent/ipc"
)

func TestNobodyServes(t *testing.T) {
	p := ipc.InHome(t.TempDir())
	_, err := client.Connect(context.Background(), p, nil)
	if !errors.Is(err, client.ErrNotRunning) || client.Hint(err) == "" {
		t.Errorf("%v, hint %q", err, client.Hint(err))
	}
	// A socket file with nobody behind it is the same.
	if err := ipc.MakeRuntime(p); err != nil {
		t.Fatal(err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: p.Socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	_ = l.Close()
	if _, err := client.Connect(context.Background(), p, nil); !errors.Is(err, client.ErrNotRunning) {
		t.Errorf("dead socket: %v", err)
	}
}

func TestStarterIsCalledOnce(t *testing.T) {
	p := ipc.InHome(t.TempDir())
	starts := 0
	start := func(p ipc.Paths) (<-chan error, error) {
		starts++
		clienttest.Serve(t, p)
		return nil, nil
	}
	for range 3 {
		c, err := client.Connect(context.Background(), p, start)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
	}
	if starts != 1 {
		t.Errorf("%d starts, want 1", starts)
	}
}

func TestAgentThatNeverAnswers(t *testing.T) {
	p := ipc.InHome(t.TempDir())
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	_, err := client.Connect(ctx, p, func(p ipc.Paths) (<-chan error, error) {
		return nil, os.WriteFile(p.Log(), []byte("line one\nwaiting for the store\n"), 0o600)
	})
	if err == nil || !strings.Contains(err.Error(), "waiting for the store") || !strings.Contains(client.Hint(err), p.Log()) {
		t.Errorf("%v\nhint: %s", err, client.Hint(err))
	}
}

func TestOldLinesOfTheLogAreNotShown(t *testing.T) {
	p := ipc.InHome(t.TempDir())
	if err := ipc.MakeRuntime(p); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p.Log(), []byte("last week's trouble\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := client.Connect(context.Background(), p, client.Spawn("/bin/sh", "-c", "echo today >&2; exit 3"))
	if err == nil || !strings.Contains(err.Error(), "today") || strings.Contains(err.Error(), "last week") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("%v", err)
	}
}

// A spawned agent has a session of its own and no open file of ours.
func TestSpawnIsDetached(t *testing.T) {
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("needs /proc: looks at the open files of the process")
	}
	p := ipc.InHome(t.TempDir())
	if err := ipc.MakeRuntime(p); err != nil {
		t.Fatal(err)
	}
	// A file that goes on to children by itself, as a script's parent may leave one.
	left, err := syscall.Open("/etc/passwd", syscall.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(left) //nolint:errcheck // a test's
	ended, err := client.Spawn("/bin/sh", "-c", `echo "dir=$PWD pid=$$"; cat /proc/$$/stat; ls -l /proc/$$/fd`)(p)
	if err != nil {
		t.Fatal(err)
	}
	<-ended
	raw, err := os.ReadFile(p.Log())
	if err != nil {
		t.Fatal(err)
	}
	log := string(raw)
	if !strings.Contains(log, "dir=/ ") {
		t.Errorf("not in the root folder:\n%s", log)
	}
	// pid (comm) state ppid pgrp session …
	var pid, session int
	_, after, _ := strings.Cut(log, ") ")
	if fields := strings.Fields(after); len(fields) > 3 {
		session, _ = strconv.Atoi(fields[3])
	}
	_, _ = fmt.Sscanf(log, "dir=/ pid=%d", &pid)
	if pid == 0 || session != pid {
		t.Errorf("process %d is in session %d", pid, session)
	}
	for _, line := range strings.Split(log, "\n") {
		if _, to, ok := strings.Cut(line, " -> "); ok && to != p.Log() && to != os.DevNull {
			t.Errorf("open file: %s", line)
		}
	}
	if info, err := os.Stat(p.Log()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestErrorsOfTheAgent(t *testing.T) {
	p := ipc.InHome(t.TempDir())
	clienttest.Serve(t, p)
	c, err := client.Connect(context.Background(), p, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var fault *api.Error
	if err := c.Stop(context.Background(), "no such/run?x=1", -1); !errors.As(err, &fault) || fault.Code != "not-found" || fault.Status != http.StatusNotFound || client.Hint(err) == "" {
		t.Errorf("%+v", err)
	}
	if !strings.Contains(fault.Message, "no such/run?x=1") {
		t.Errorf("the name did not arrive whole: %s", fault.Message)
	}
	if _, err := c.Run(context.Background(), api.RunRequest{Source: "elf"}); !errors.As(err, &fault) || fault.Code != "unsupported-format" {
		t.Errorf("%v", err)
	}
	for _, err := range c.Logs(context.Background(), "nosuch", false) {
		if !errors.As(err, &fault) {
			t.Errorf("%v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.Version(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// An agent that answers without end, or nonsense, costs bounded memory and ends in an error.
func TestHostileAnswers(t *testing.T) {
	p := ipc.InHome(t.TempDir())
	l, err := ipc.Listen(p, discard())
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/images":
			_, _ = w.Write([]byte("[{"))
		case "/v1/log":
			_, _ = w.Write([]byte(`{"seq":1,"app":"` + strings.Repeat("x", 8<<20) + `"}`))
		case "/v1/grants":
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("<html>"))
		case "/v1/runs":
			_, _ = w.Write([]byte("{}")) // no upgrade
		}
	})}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	defer func() { _ = server.Close(); <-done }()
	c := client.New(p)
	defer c.Close()
	ctx := context.Background()
	if _, err := c.Images(ctx); err == nil {
		t.Error("half an answer was taken")
	}
	for _, err := range c.Ledger(ctx, client.LedgerQuery{}) {
		if !errors.Is(err, bufio.ErrTooLong) {
			t.Errorf("a line of 8 MiB: %v", err)
		}
	}
	if _, err := c.Grants(ctx, ""); err == nil || !strings.Contains(err.Error(), "418") {
		t.Errorf("%v", err)
	}
	if s, err := c.Run(ctx, api.RunRequest{}); err == nil || s != nil {
		t.Errorf("%v: a stream without an upgrade", err)
	}
}

func TestSocketWithoutPermission(t *testing.T) {
	err := client.Explain(&net.OpError{Op: "dial", Err: fs.ErrPermission}, ipc.Paths{Socket: "/s"})
	if !strings.Contains(err.Error(), "no permission to open the agent's socket /s") || client.Hint(err) == "" || !errors.Is(err, fs.ErrPermission) {
		t.Errorf("%v, %q", err, client.Hint(err))
	}
	err = client.Explain(ipc.ErrStranger, ipc.Paths{Socket: "/s"})
	if !strings.Contains(err.Error(), "another user") || !errors.Is(err, ipc.ErrStranger) {
		t.Errorf("%v", err)
	}
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
