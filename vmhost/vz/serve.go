package vz

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sandbox/wire"
)

// Hypervisor starts machines: the framework, or a test's.
type Hypervisor interface {
	// Start starts m. control carries the port named guestwire.ControlPort,
	// frames a frame in each datagram; both are the machine's from now on, also
	// where it fails.
	Start(m Machine, control, frames *os.File) (Running, error)
}

// Running is a machine that was started.
type Running interface {
	Wait() error // until it has stopped; nil after a power off
	State() string
	Stop() error // at once
}

// Serve is the helper: it serves the agent at the other end of conn, and returns
// when that hangs up, after the machine was stopped.
func Serve(conn *fdwire.Conn, h Hypervisor) error {
	s := &helper{hypervisor: h}
	//nolint:errcheck // hang-up is how a helper is ended
	wire.New(conn, s.handle).Serve(context.Background())
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.machine == nil {
		return nil
	}
	return s.machine.Stop()
}

type helper struct {
	hypervisor Hypervisor

	mu      sync.Mutex
	booted  bool
	machine Running // nil before the boot
}

func (s *helper) handle(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (wire.Reply, error) {
	if verb == verbBoot {
		return wire.Reply{}, s.boot(body, files)
	}
	fdwire.CloseAll(files)
	s.mu.Lock()
	m := s.machine
	s.mu.Unlock()
	if m == nil {
		return wire.Reply{}, fmt.Errorf("%w: %s before the boot", sandbox.ErrInvalid, verb)
	}
	switch verb {
	case verbWait:
		return wait(ctx, m)
	case verbState:
		return wire.Reply{Body: state{m.State()}}, nil
	}
	return wire.Reply{}, fmt.Errorf("%w: the helper knows no %q", sandbox.ErrInvalid, verb)
}

func (s *helper) boot(body json.RawMessage, files []*os.File) error {
	var m Machine
	err := json.Unmarshal(body, &m)
	if err == nil {
		err = m.Check()
	}
	if err != nil || len(files) != 2 { //nolint:mnd // control and frames
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: a boot comes with a machine and two sockets: %d, %w", sandbox.ErrInvalid, len(files), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.booted {
		fdwire.CloseAll(files)
		return fmt.Errorf("%w: a helper boots one machine, once", sandbox.ErrInvalid)
	}
	s.booted = true
	s.machine, err = s.hypervisor.Start(m, files[0], files[1])
	return err
}

func wait(ctx context.Context, m Running) (wire.Reply, error) {
	over := make(chan error, 1)
	go func() { over <- m.Wait() }()
	select {
	case err := <-over:
		if err != nil {
			return wire.Reply{Body: ended{Why: err.Error()}}, nil
		}
		return wire.Reply{Body: ended{Clean: true}}, nil
	case <-ctx.Done():
		return wire.Reply{}, ctx.Err() // the machine is stopped next, and the wait with it
	}
}
