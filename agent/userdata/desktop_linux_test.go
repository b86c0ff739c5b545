package userdata

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// bus starts a session bus of the test's own.
func bus(t *testing.T) {
	t.Helper()
	program, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("needs dbus-daemon: run make deps")
	}
	cmd := exec.Command(program, "--session", "--nofork", "--print-address")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", strings.TrimSpace(address))
}

// notified is a notification daemon that notes what it is to show.
type notified struct{ shown chan []string }

func (n notified) Notify(program string, _ uint32, _, title, body string, _ []string, _ map[string]dbus.Variant, _ int32) (uint32, *dbus.Error) {
	n.shown <- []string{program, title, body}
	return 1, nil
}

func TestNotify(t *testing.T) {
	bus(t)
	s := open(t, vault{})
	req := sandbox.DataRequest{Kind: data.Notify, Title: "Done", Body: "<b>3</b> & more"}
	if _, err := s.Do(t.Context(), "app", req); !errors.Is(err, sandbox.ErrUnavailable) {
		t.Errorf("with nobody to show it: %v", err)
	}
	conn, err := dbus.ConnectSessionBus()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	daemon := notified{make(chan []string, 1)}
	const name = "org.freedesktop.Notifications"
	if err := conn.Export(daemon, "/org/freedesktop/Notifications", name); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName(name, dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	if _, err := s.Do(t.Context(), "app", req); err != nil {
		t.Fatal(err)
	}
	if got := <-daemon.shown; got[0] != "Consentry" || got[1] != "app: Done" || got[2] != "&lt;b&gt;3&lt;/b&gt; &amp; more" {
		t.Errorf("shown: %q", got)
	}
}

// The desktop is told of an address by a program of its own, here one that notes it.
func TestOpen(t *testing.T) {
	dir := t.TempDir()
	note := filepath.Join(dir, "note")
	if err := os.WriteFile(filepath.Join(dir, "xdg-open"), []byte("#!/bin/sh\nprintf %s \"$1\" > "+note+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	const address = "https://example.org/?q=$(id)&x='"
	if _, err := open(t, vault{}).Do(t.Context(), "app", sandbox.DataRequest{Kind: data.OpenURL, URL: address}); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(note); err != nil || string(got) != address {
		t.Errorf("%q, %v", got, err)
	}
}

// A real X server and a real xclip.
func TestClipboard(t *testing.T) {
	server, err := exec.LookPath("Xvfb")
	if err != nil {
		t.Skip("needs Xvfb: run make deps")
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	x := exec.CommandContext(ctx, server, "-displayfd", "3", "-screen", "0", "64x64x8", "-nolisten", "tcp")
	x.ExtraFiles = []*os.File{write}
	if err := x.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	defer func() {
		stop()
		x.Wait()
	}()
	number, err := bufio.NewReader(read).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("WAYLAND_DISPLAY", "")
	t.Setenv("DISPLAY", ":"+strings.TrimSpace(number))
	s := open(t, vault{})
	req := ask(data.Clipboard, "text")
	if reply, err := s.Answer(t.Context(), "app", req, all(req)); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("with nothing on it: %+v, %v", reply, err)
	}
	in := exec.CommandContext(ctx, "xclip", "-selection", "clipboard", "-in", "-loops", "1")
	in.Stdin = strings.NewReader("copied ✓")
	in.WaitDelay = time.Second
	if err := in.Run(); err != nil {
		t.Fatal(err)
	}
	if reply := s.answer(t, req, all(req)); reply.Values["text"] != "copied ✓" {
		t.Errorf("%+v", reply)
	}
}
