//go:build unix

package vz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/drivertest"
)

// The pretend consentry-vz is this test program under that name: a process of
// its own, with a hypervisor whose guest is a function.
const helperName = "consentry-vz"

func TestMain(m *testing.M) {
	if self, err := os.Executable(); err == nil && filepath.Base(self) == helperName {
		conn, err := fdwire.FromFile(os.NewFile(SocketFD, "agent"))
		if err == nil {
			err = Serve(conn, &pretend{})
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// pretend is a hypervisor and its one machine. What its guest does is the name
// of its kernel.
type pretend struct {
	over chan error
	stop context.CancelFunc

	mu    sync.Mutex
	state string
}

func (p *pretend) Start(m Machine, control, frames *os.File) (Running, error) {
	for _, path := range []string{"l/0", "l/0.ext4"} {
		if _, err := os.Stat(filepath.Join(m.Files, path)); err != nil {
			return nil, err
		}
	}
	if filepath.Base(m.Kernel) == "refused" {
		return nil, errors.New("the framework says no")
	}
	conn, err := net.FileConn(control)
	if err != nil {
		return nil, err
	}
	wire, err := net.FileConn(frames)
	if err != nil {
		return nil, err
	}
	fdwire.CloseAll([]*os.File{control, frames})
	ctx, cancel := context.WithCancel(context.Background())
	p.over, p.stop, p.state = make(chan error, 1), cancel, running
	if filepath.Base(m.Kernel) == "paused" {
		p.state = "paused"
	}
	go echo(wire)
	go func() {
		err := guest(ctx, conn, m)
		conn.Close()
		p.set("stopped")
		p.over <- err
	}()
	return p, nil
}

// echo is the card of a guest that sends back what it gets.
func echo(wire net.Conn) {
	buf := make([]byte, 2048)
	for {
		n, err := wire.Read(buf)
		if err != nil {
			return
		}
		wire.Write(buf[:n])
	}
}

func guest(ctx context.Context, control io.ReadWriteCloser, m Machine) error {
	walls := []sandbox.Wall{{Name: "seccomp", Required: true, Stands: true}}
	over, end := context.WithCancel(ctx)
	defer end()
	peer, err := guestwire.Greet(ctx, control, guestwire.Hello{Kernel: "6.12", Walls: walls}, func(_ context.Context, c *guestwire.Call) error {
		switch c.Verb {
		case guestwire.VerbPosture:
			return c.Answer(sandbox.Posture{Walls: walls})
		case guestwire.VerbWait:
			return c.Answer(guestwire.Ended{Exit: sandbox.Exit{Code: 3}})
		case guestwire.VerbPowerOff:
			defer end()
		}
		return c.Answer(nil)
	})
	if err != nil {
		return err
	}
	peer.Serve(over)
	if filepath.Base(m.Kernel) == "panics" {
		return errors.New("the guest's kernel panics")
	}
	return nil
}

func (p *pretend) set(state string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
}

func (p *pretend) Wait() error { return <-p.over }

func (p *pretend) State() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

func (p *pretend) Stop() error { p.stop(); return nil }

// bench is a driver with the pretend helper, and an image.
type bench struct {
	driver *Driver
	dir    string
	config vmhost.Config
}

func newBench(t *testing.T, kernel string) *bench {
	t.Helper()
	dir := t.TempDir()
	self, err := os.Executable()
	must(t, err)
	helper := filepath.Join(dir, helperName)
	if os.Link(self, helper) != nil {
		program, err := os.ReadFile(self)
		must(t, err)
		must(t, os.WriteFile(helper, program, 0o755))
	}
	layer := filepath.Join(dir, "aa.ext4")
	must(t, os.WriteFile(layer, []byte("image"), 0o600))
	b := &bench{dir: filepath.Join(dir, "vz"), config: vmhost.Config{
		Kernel: kernel, Initramfs: "initramfs", Memory: 512 << 20, CPUs: 2,
		Spec: sandbox.Spec{ID: "run1", Name: "app", Image: &sandbox.Image{Lower: []string{layer}}},
	}}
	b.driver = New(Config{Helper: helper, Dir: b.dir, System: func(context.Context, string) error { return nil }})
	t.Cleanup(func() {
		if left, err := os.ReadDir(b.dir); err == nil && len(left) > 0 {
			t.Errorf("folders of machines are left: %v", left)
		}
	})
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (b *bench) boot(t *testing.T) *machine {
	t.Helper()
	m, err := b.driver.Boot(t.Context(), b.config)
	must(t, err)
	t.Cleanup(func() { must(t, m.Kill()) })
	return m.(*machine)
}

func TestConform(t *testing.T) {
	b := newBench(t, "kernel")
	drivertest.Conform(t, b.driver, b.config)
}

// TestApp: a whole run through the host.
func TestApp(t *testing.T) {
	b := newBench(t, "kernel")
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	host := vmhost.NewHost(vmhost.HostConfig{Driver: b.driver, Kernel: file, Init: file})
	must(t, host.Check(t.Context()))
	app, err := host.Start(t.Context(), b.config.Spec, nil)
	must(t, err)
	if exit, err := app.Wait(t.Context()); err != nil || exit.Code != 3 {
		t.Errorf("%+v, %v", exit, err)
	}
	must(t, host.Close())
}

// TestFrames: what is put on the card comes out of the machine, a frame in each
// datagram, and the other way.
func TestFrames(t *testing.T) {
	m := newBench(t, "kernel").boot(t)
	card := m.Card()
	wire, err := net.FileConn(card)
	must(t, errors.Join(err, card.Close()))
	defer wire.Close()
	must(t, wire.SetDeadline(time.Now().Add(20*time.Second)))
	for _, size := range []int{60, 1514} {
		frame := []byte(strings.Repeat("f", size))
		_, err := wire.Write(frame)
		must(t, err)
		got := make([]byte, 4096)
		if n, err := wire.Read(got); err != nil || string(got[:n]) != string(frame) {
			t.Errorf("%d bytes of %d, %v", n, size, err)
		}
	}
}

// TestBoundary: it stands while the framework says that the machine runs.
func TestBoundary(t *testing.T) {
	for kernel, stands := range map[string]bool{"kernel": true, "paused": false} {
		m := newBench(t, kernel).boot(t)
		walls, err := m.Walls(t.Context())
		must(t, err)
		if len(walls) != 1 || walls[0].Stands != stands || !walls[0].Required {
			t.Errorf("%s: %+v", kernel, walls)
		}
	}
}

// TestEnds are those of a machine that was not told to.
func TestEnds(t *testing.T) {
	m := newBench(t, "panics").boot(t)
	peer, _, err := guestwire.Accept(t.Context(), m.Control(), nil)
	must(t, err)
	peer.Close()
	if err := m.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "panics") {
		t.Errorf("a panic: %v", err)
	}
	m = newBench(t, "kernel").boot(t)
	must(t, syscall.Kill(m.cmd.Process.Pid, syscall.SIGKILL))
	if err := m.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "helper") {
		t.Errorf("the helper was killed: %v", err)
	}
	over := make(chan struct{})
	go func() { defer close(over); io.Copy(io.Discard, m.Control()) }() // what was under way, then the end
	select {
	case <-over:
	case <-time.After(10 * time.Second):
		t.Error("its machine goes on")
	}
}

func TestRefused(t *testing.T) {
	if _, err := newBench(t, "refused").driver.Boot(t.Context(), newBench(t, "refused").config); err == nil || !strings.Contains(err.Error(), "framework says no") {
		t.Errorf("by the framework: %v", err)
	}
	for name, change := range map[string]func(*vmhost.Config){
		"runs an image":       func(c *vmhost.Config) { c.Spec.Image = nil },
		"folders and volumes": func(c *vmhost.Config) { c.Spec.Mounts = []sandbox.Mount{{}} },
		"--ephemeral":         func(c *vmhost.Config) { c.Spec.Image.Upper = "u" },
		"is no ext4 image":    func(c *vmhost.Config) { c.Spec.Image.Lower = []string{t.TempDir()} },
		"machine {":           func(c *vmhost.Config) { c.CPUs = 0 },
	} {
		b := newBench(t, "kernel")
		change(&b.config)
		if m, err := b.driver.Boot(t.Context(), b.config); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, %v", name, m, err)
		}
	}
}

// TestHelperIsOfOneMachine: calls come after the boot, which is one.
func TestHelperIsOfOneMachine(t *testing.T) {
	conn, theirs, err := fdwire.Pair()
	must(t, err)
	served := make(chan error, 1)
	go func() {
		far, err := fdwire.FromFile(theirs)
		if err == nil {
			err = Serve(far, &pretend{})
		}
		served <- err
	}()
	agent := wire.New(conn, nil)
	go agent.Serve(context.Background())
	good := Machine{Kernel: "k", Initramfs: "i", Memory: 1 << 30, CPUs: 1, Files: t.TempDir()}
	for _, call := range []struct {
		verb string
		body any
		want string
	}{
		{verbWait, nil, "before the boot"}, {verbBoot, good, "0"}, {verbBoot, "nonsense", "boot comes with"}, {verbBoot, Machine{}, "boot comes with"}, {"dance", nil, "before the boot"},
	} {
		if _, err := agent.Call(t.Context(), call.verb, call.body, nil); err == nil || !strings.Contains(err.Error(), call.want) {
			t.Errorf("%s %v: %v", call.verb, call.body, err)
		}
	}
	must(t, errors.Join(os.MkdirAll(filepath.Join(good.Files, "l/0"), 0o755), os.WriteFile(filepath.Join(good.Files, "l/0.ext4"), nil, 0o600)))
	for n := range 2 {
		control, card, err := datagramPair()
		must(t, err)
		_, err = agent.Call(t.Context(), verbBoot, good, nil, control, card)
		fdwire.CloseAll([]*os.File{control, card})
		if (err == nil) != (n == 0) || err != nil && !strings.Contains(err.Error(), "one machine, once") {
			t.Errorf("boot %d: %v", n+1, err)
		}
	}
	agent.Close()
	must(t, <-served)
}

func TestJudge(t *testing.T) {
	const signed = "<key>com.apple.security.virtualization</key><true/>"
	for _, c := range []struct {
		version    string
		hypervisor bool
		signature  string
		want       string
	}{
		{"13.0", true, signed, ""}, {"26.1", true, signed, ""},
		{"12.7.4", true, signed, "update it"}, {"", true, signed, "update it"},
		{"15.1", false, signed, "virtualization: this Mac"},
		{"15.1", true, "", "codesign --sign -"},
	} {
		err := judge(c.version, c.hypervisor, c.signature)
		if (err == nil) != (c.want == "") || err != nil && (!errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestCheckOfNoMac(t *testing.T) {
	d := New(Config{Helper: filepath.Join(t.TempDir(), "nothing")})
	if err := d.Check(t.Context()); !errors.Is(err, sandbox.ErrNotSupported) || !strings.Contains(err.Error(), "install consentry again") {
		t.Error(err)
	}
}
