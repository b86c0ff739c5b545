package guestinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/linuxhost"
)

// stateDir is linuxhost's own, and self this program, in the guest.
const (
	stateDir = "/run/consentry"
	self     = "/init"
)

// greetTime bounds how long the host may take to answer the hello.
const greetTime = time.Minute

// Main is process 1. It returns only where the machine does not power off.
func Main() error {
	if os.Getpid() != 1 {
		return errors.New("guestinit is the first process of a guest, and is not started by hand")
	}
	if err := live(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "guestinit:", err) // the host keeps the console's last words
	}
	unix.Sync()
	return unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
}

// live sets up, greets and serves until the host has enough.
func live(ctx context.Context) error {
	g := &guest{}
	if _, err := os.Stat("/proc/self"); err != nil {
		if err := g.setUp(ctx, firstSteps); err != nil {
			return err
		}
		// Again, as libraries look into /proc before main does (cilium/ebpf's
		// rlimit), and remember that there was none.
		return fmt.Errorf("again: %w", unix.Exec(self, os.Args, os.Environ()))
	}
	if err := g.setUp(ctx, steps); err != nil {
		return err
	}
	go reap(ctx)
	return g.serve(ctx)
}

// guest is what the steps put together.
type guest struct {
	hello   guestwire.Hello
	host    *linuxhost.Host
	control io.ReadWriteCloser
	// shared: the machine is not this app's alone, and its kernel not ours. Its
	// clock is left alone, and the user may have waived a wall.
	shared bool

	boot guestwire.BootLine
	// mapsFiles: layers are images, whose files bear the ids that apps know.
	mapsFiles bool
	card      *os.File // frames of the app's card, where the machine has none

	// Of a distro, see distro_linux.go.
	run             guestwire.DistroRun
	lock            *os.File
	ownInterpreters bool // see windows_linux.go
}

// step is one line of the set-up; an error bears its name.
type step struct {
	name string
	do   func(*guest, context.Context) error
}

// sinceBoot is the kernel's own clock.
func sinceBoot() time.Duration {
	var now unix.Timespec
	//nolint:errcheck // there is such a clock
	unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
	return time.Duration(now.Nano())
}

// setUp does the steps in their order and notes what each took.
func (g *guest) setUp(ctx context.Context, steps []step) error {
	for _, s := range steps {
		begin := time.Now()
		if err := s.do(g, ctx); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		g.hello.Steps = append(g.hello.Steps, guestwire.Step{Name: s.name, Microseconds: time.Since(begin).Microseconds()})
	}
	return nil
}

// errHungUp is the end of a guest whose host has gone.
var errHungUp = errors.New("the host has hung up")

// serve greets the host and answers it until it says power off, or hangs up.
func (g *guest) serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &server{host: g.host, shared: g.shared, windows: g.windowsWall, card: g.card, done: cancel, processes: map[int]*process{}, folders: map[int]chan error{}}
	defer s.end()
	greeting, stop := context.WithTimeout(ctx, greetTime)
	peer, err := guestwire.Greet(greeting, g.control, g.hello, s.handle)
	stop()
	if err != nil {
		return err
	}
	err = peer.Serve(ctx)
	if s.told() {
		return nil
	}
	return fmt.Errorf("%w: %w", errHungUp, err)
}

func newHost(c linuxhost.Config) *linuxhost.Host {
	c.Log = slog.New(slog.NewTextHandler(os.Stderr, nil))
	return linuxhost.New(c)
}
