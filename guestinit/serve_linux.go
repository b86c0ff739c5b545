package guestinit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/sandbox"
)

// server answers the host.
type server struct {
	host   sandbox.Host
	shared bool // see guest
	// windows looks for Windows, where the guest is shared.
	windows func() sandbox.Wall
	done    context.CancelFunc
	over    atomic.Bool // the host said power off

	mu        sync.Mutex
	app       sandbox.Instance
	starting  bool
	processes map[int]*process
	card      *os.File           // until its frames are carried; nil where the machine has a card
	folders   map[int]chan error // told of the mount
}

// end takes the app down where a machine would go down with it.
func (s *server) end() {
	app := s.running()
	if app == nil || !s.shared {
		return
	}
	//nolint:errcheck // its process namespace ends all the same
	app.(sandbox.Signaler).Signal(context.Background(), sandbox.SIGKILL)
}

// told says whether the host wanted the end.
func (s *server) told() bool { return s.over.Load() }

func (s *server) handle(ctx context.Context, c *guestwire.Call) error {
	switch c.Verb {
	case guestwire.VerbStart:
		return s.start(ctx, c)
	case guestwire.VerbFolder:
		return s.folder(c)
	case guestwire.VerbClock:
		return s.setClock(c)
	case guestwire.VerbFrames:
		return s.frames(c)
	case guestwire.VerbPowerOff:
		s.over.Store(true)
		defer s.done()
		return c.Answer(nil)
	}
	app := s.running()
	if app == nil {
		return fmt.Errorf("%w: %s before the start of the app", sandbox.ErrInvalid, c.Verb)
	}
	switch c.Verb {
	case guestwire.VerbRun:
		return s.run(ctx, c, app)
	case guestwire.VerbStream:
		return s.stream(c)
	case guestwire.VerbWait:
		return s.wait(ctx, c)
	case guestwire.VerbSignal, guestwire.VerbResize:
		return s.forward(ctx, c)
	case guestwire.VerbRelay:
		return s.relay(ctx, c)
	}
	return s.ofApp(ctx, c, app)
}

// ofApp answers what is asked of the app as a whole.
func (s *server) ofApp(ctx context.Context, c *guestwire.Call, app sandbox.Instance) error {
	var answer any
	var err error
	switch c.Verb {
	case guestwire.VerbPosture:
		var p sandbox.Posture
		p, err = app.Posture(ctx)
		if s.shared {
			p.Walls = append(p.Walls, s.windows())
		}
		answer = p
	case guestwire.VerbStats:
		answer, err = app.(sandbox.Statser).Stats(ctx)
	case guestwire.VerbPause:
		err = app.(sandbox.Pauser).Pause(ctx)
	case guestwire.VerbUnpause:
		err = app.(sandbox.Pauser).Unpause(ctx)
	default:
		err = fmt.Errorf("%w: a guest knows no %q", sandbox.ErrInvalid, c.Verb)
	}
	if err != nil {
		return err
	}
	return c.Answer(answer)
}

func (s *server) running() sandbox.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.app
}

// start begins the app: there is one in the life of a guest.
func (s *server) start(ctx context.Context, c *guestwire.Call) error {
	var call guestwire.Start
	if err := c.Read(&call); err != nil {
		return err
	}
	s.mu.Lock()
	twice := s.starting
	s.starting = true
	s.mu.Unlock()
	if twice {
		return fmt.Errorf("%w: a guest runs one app, once", sandbox.ErrInvalid)
	}
	if err := s.waitForFolders(ctx, call.Folders); err != nil {
		return err
	}
	spec := call.Spec
	if !s.shared {
		spec.Waived = nil // the kernel is ours: it has every wall
	}
	p, theirs, err := newProcess(call.Streams)
	if err != nil {
		return err
	}
	spec.Process.Stdio = theirs
	app, err := s.host.Start(ctx, spec, nil)
	if err != nil {
		p.close()
		return err
	}
	p.running = appProcess{app}
	s.mu.Lock()
	s.app, s.processes[guestwire.AppNumber] = app, p
	s.mu.Unlock()
	return c.Answer(nil)
}

// run begins another process.
func (s *server) run(ctx context.Context, c *guestwire.Call, app sandbox.Instance) error {
	var call guestwire.Run
	if err := c.Read(&call); err != nil {
		return err
	}
	if err := s.reserve(call.Number); err != nil {
		return err
	}
	p, theirs, err := newProcess(call.Streams)
	if err == nil {
		call.Process.Stdio = theirs
		if p.running, err = app.(sandbox.Execer).Exec(ctx, call.Process); err != nil {
			p.close()
		}
	}
	s.mu.Lock()
	if err == nil {
		s.processes[call.Number] = p
	} else {
		delete(s.processes, call.Number)
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return c.Answer(nil)
}

// reserve keeps a number for a process that is about to be started.
func (s *server) reserve(number int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, taken := s.processes[number]
	switch {
	case taken || number <= guestwire.AppNumber:
		return fmt.Errorf("%w: process number %d", sandbox.ErrInvalid, number)
	case len(s.processes) >= guestwire.MaxProcesses:
		return fmt.Errorf("%w: %d processes were started and not waited for", sandbox.ErrBusy, len(s.processes))
	}
	s.processes[number] = nil
	return nil
}

func (s *server) find(number int) (*process, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.processes[number]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%w: no process has number %d", sandbox.ErrInvalid, number)
}

// stream carries a standard file of a process.
func (s *server) stream(c *guestwire.Call) error {
	var call guestwire.Standard
	if err := errors.Join(c.Read(&call), call.Check()); err != nil {
		return err
	}
	p, err := s.find(call.Number)
	if err != nil {
		return err
	}
	f, err := p.take(call.File)
	if err != nil {
		return err
	}
	if err := c.Answer(nil); err != nil {
		return errors.Join(err, f.Close())
	}
	if call.File == 0 {
		return p.feed(f, c.Stream())
	}
	p.drain(call.File, f, c.Stream())
	return nil
}

// wait answers when the process has ended; its number is free then.
func (s *server) wait(ctx context.Context, c *guestwire.Call) error {
	var call guestwire.Which
	if err := c.Read(&call); err != nil {
		return err
	}
	p, err := s.find(call.Number)
	if err != nil {
		return err
	}
	exit, err := p.running.Wait(ctx)
	if err != nil {
		return err
	}
	ended := guestwire.Ended{Exit: exit, Drained: p.drained(ctx, call.Number == guestwire.AppNumber)}
	if call.Number != guestwire.AppNumber {
		s.mu.Lock()
		delete(s.processes, call.Number)
		s.mu.Unlock()
	}
	return c.Answer(ended)
}

func (s *server) forward(ctx context.Context, c *guestwire.Call) error {
	var call guestwire.Which
	if err := c.Read(&call); err != nil {
		return err
	}
	p, err := s.find(call.Number)
	if err != nil {
		return err
	}
	if c.Verb == guestwire.VerbSignal {
		err = p.running.Signal(ctx, call.Signal)
	} else {
		err = p.running.Resize(ctx, call.Size)
	}
	if err != nil {
		return err
	}
	return c.Answer(nil)
}

func (s *server) setClock(c *guestwire.Call) error {
	var call guestwire.Clock
	if err := c.Read(&call); err != nil {
		return err
	}
	if s.shared {
		return c.Answer(nil)
	}
	now := unix.NsecToTimespec(call.Now.UnixNano())
	if err := unix.ClockSettime(unix.CLOCK_REALTIME, &now); err != nil {
		return fmt.Errorf("clock: %w", err)
	}
	return c.Answer(nil)
}
