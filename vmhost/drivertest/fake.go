// Package drivertest has a driver without machines, and what every driver must
// do.
package drivertest

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/vmhost"
)

// Fake is a driver whose guest is a function. The machine ends when the
// function returns, and says what that returned.
type Fake struct {
	Guest  func(ctx context.Context, control io.ReadWriteCloser, c vmhost.Config) error
	Broken error // what Check and Boot say
}

// Name is "fake".
func (Fake) Name() string { return "fake" }

// Check says what is Broken.
func (f Fake) Check(context.Context) error { return f.Broken }

// Boot starts the function.
func (f Fake) Boot(ctx context.Context, c vmhost.Config) (vmhost.Machine, error) {
	if err := errors.Join(ctx.Err(), f.Broken); err != nil {
		return nil, err
	}
	card, far, err := fdwire.SocketPair()
	if err != nil {
		return nil, err
	}
	ours, theirs := net.Pipe()
	alive, end := context.WithCancel(context.Background())
	m := &fakeMachine{control: ours, card: card, end: end, gone: make(chan struct{})}
	go func() {
		defer close(m.gone)
		defer far.Close()
		err := f.Guest(alive, theirs, c)
		theirs.Close()
		if alive.Err() == nil {
			m.err = err
		}
	}()
	return m, nil
}

type fakeMachine struct {
	control io.ReadWriteCloser
	end     context.CancelFunc
	gone    chan struct{}
	err     error

	mu   sync.Mutex
	card *os.File
}

func (m *fakeMachine) Control() io.ReadWriteCloser { return m.control }

func (m *fakeMachine) Card() *os.File {
	m.mu.Lock()
	defer m.mu.Unlock()
	card := m.card
	m.card = nil
	return card
}

func (m *fakeMachine) Wait(ctx context.Context) error {
	select {
	case <-m.gone:
		return m.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (m *fakeMachine) Kill() error {
	m.end()
	m.control.Close()
	<-m.gone
	return nil
}
