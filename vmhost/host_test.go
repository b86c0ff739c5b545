//go:build unix

package vmhost_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/drivertest"
)

// script is a guest that says what it is told to.
type script struct {
	hello  guestwire.Hello
	start  error
	walls  []sandbox.Wall
	output string
	ended  guestwire.Ended
	hangUp bool // after the start
	called chan string
}

func (s script) guest(ctx context.Context, control io.ReadWriteCloser, _ vmhost.Config) error {
	over, end := context.WithCancel(ctx)
	peer, err := guestwire.Greet(ctx, control, s.hello, func(ctx context.Context, c *guestwire.Call) error {
		if s.called != nil {
			s.called <- c.Verb
		}
		switch c.Verb {
		case guestwire.VerbStart:
			if s.start != nil {
				return s.start
			}
		case guestwire.VerbPosture:
			return c.Answer(sandbox.Posture{Walls: s.walls})
		case guestwire.VerbStream:
			if err := c.Answer(nil); err != nil {
				return err
			}
			_, err := io.WriteString(c.Stream(), s.output)
			return err
		case guestwire.VerbWait:
			if s.hangUp {
				end()
				<-ctx.Done()
				return ctx.Err()
			}
			return c.Answer(s.ended)
		case guestwire.VerbPowerOff:
			defer end()
		}
		return c.Answer(nil)
	})
	if err != nil {
		return err
	}
	peer.Serve(over)
	if s.hangUp {
		return errors.New("the kernel panics")
	}
	return nil
}

var good = []sandbox.Wall{{Name: "seccomp", Required: true, Stands: true}}

func honest() script {
	return script{
		hello: guestwire.Hello{Kernel: "6.12", Walls: good}, walls: good,
		output: "text\n", ended: guestwire.Ended{Exit: sandbox.Exit{Code: 3}, Drained: true},
	}
}

func hostOf(t *testing.T, d vmhost.Driver) *vmhost.Host {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	h := vmhost.NewHost(vmhost.HostConfig{Driver: d, Kernel: file, Init: file})
	t.Cleanup(func() { h.Close() })
	return h
}

// run starts an app in a guest of s and waits for its end.
func run(t *testing.T, s script) (out string, exit sandbox.Exit, err error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	spec := sandbox.Spec{ID: "a", Name: "app", Image: &sandbox.Image{Lower: []string{"/l"}}, Process: sandbox.Process{Args: []string{"x"}}}
	spec.Process.Stdio[1] = w
	i, err := hostOf(t, drivertest.Fake{Guest: s.guest}).Start(t.Context(), spec, nil)
	if err != nil {
		return "", exit, err
	}
	exit, err = i.Wait(t.Context())
	all, _ := io.ReadAll(r)
	return string(all), exit, err
}

func TestApp(t *testing.T) {
	out, exit, err := run(t, honest())
	if err != nil || out != "text\n" || exit != (sandbox.Exit{Code: 3}) {
		t.Errorf("%q, %+v, %v", out, exit, err)
	}
}

// TestOtherGuests are those that are broken, or lie.
func TestOtherGuests(t *testing.T) {
	missing := []sandbox.Wall{{Name: "seccomp\x1b[2J", Required: true, Detail: "gone"}}
	for name, c := range map[string]struct {
		change func(*script)
		want   string // in the error of the start; "" where that succeeds
		exit   string // in the reason of the exit
	}{
		"a wall cannot be raised": {func(s *script) { s.hello.Walls = missing }, "seccomp [2J: gone", ""},
		"a wall does not stand":   {func(s *script) { s.walls = missing }, "seccomp [2J: gone", ""},
		"the start fails":         {func(s *script) { s.start = errors.New("no\x07") }, "no ", ""},
		"it hangs up":             {func(s *script) { s.hangUp = true }, "", "the microVM has ended: the kernel panics"},
		"an exit of nobody":       {func(s *script) { s.ended.Exit = sandbox.Exit{Code: -5, Reason: "\x1b[31m"} }, "", " [31m"},
	} {
		t.Run(name, func(t *testing.T) {
			s := honest()
			c.change(&s)
			_, exit, err := run(t, s)
			if (err != nil) != (c.want != "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
			if c.exit != "" && !strings.Contains(exit.Reason, c.exit) || exit.Code < 0 {
				t.Errorf("%+v, want %q", exit, c.exit)
			}
		})
	}
}

// TestSilentGuest: no hello is a start that fails, after a time.
func TestSilentGuest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context, _ io.ReadWriteCloser, _ vmhost.Config) error { <-ctx.Done(); return nil }
		spec := sandbox.Spec{ID: "a", Name: "app", Image: &sandbox.Image{}}
		began := time.Now()
		_, err := hostOf(t, drivertest.Fake{Guest: silent}).Start(t.Context(), spec, nil)
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(began) > 4*time.Minute {
			t.Errorf("after %s: %v", time.Since(began), err)
		}
	})
}

// TestStop: the app is asked, and ended with its machine when it does not hear.
func TestStop(t *testing.T) {
	s := honest()
	s.called = make(chan string, 100)
	guest := func(ctx context.Context, control io.ReadWriteCloser, c vmhost.Config) error {
		peer, err := guestwire.Greet(ctx, control, s.hello, func(ctx context.Context, c *guestwire.Call) error {
			s.called <- c.Verb
			if c.Verb == guestwire.VerbWait {
				<-ctx.Done()
				return ctx.Err()
			}
			return c.Answer(sandbox.Posture{Walls: good})
		})
		if err != nil {
			return err
		}
		return peer.Serve(ctx)
	}
	spec := sandbox.Spec{ID: "a", Name: "app", Image: &sandbox.Image{}, Stop: sandbox.StopRule{Grace: time.Second}}
	i, err := hostOf(t, drivertest.Fake{Guest: guest}).Start(t.Context(), spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Stop(t.Context()); err != nil {
		t.Error(err)
	}
	exit, err := i.Wait(t.Context())
	if err != nil || exit.Code != 137 || !strings.Contains(exit.Reason, "did not end in time") {
		t.Errorf("%+v, %v", exit, err)
	}
	close(s.called)
	asked := ""
	for verb := range s.called {
		asked += verb + " "
	}
	if !strings.Contains(asked, guestwire.VerbSignal) {
		t.Errorf("it was asked %s", asked)
	}
}

func TestConform(t *testing.T) {
	drivertest.Conform(t, drivertest.Fake{Guest: honest().guest}, vmhost.Config{})
}

func TestCheck(t *testing.T) {
	h := vmhost.NewHost(vmhost.HostConfig{Driver: drivertest.Fake{Broken: errors.New("no QEMU")}, Kernel: t.TempDir(), Init: "/nothing/of/that/name"})
	err := h.Check(t.Context())
	for _, want := range []string{"no QEMU", "it is no file", "initramfs", "consentry-guest"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	for name, spec := range map[string]sandbox.Spec{
		"a module":        {Module: &sandbox.Module{}},
		"no such guest":   {Image: &sandbox.Image{Arch: "riscv64"}},
		"nothing":         {},
		"a folder to ask": {Image: &sandbox.Image{}, Asks: []sandbox.Ask{{Name: "docs"}}},
	} {
		if _, err := hostOf(t, drivertest.Fake{}).Start(t.Context(), spec, nil); err == nil {
			t.Errorf("%s was started", name)
		}
	}
}
