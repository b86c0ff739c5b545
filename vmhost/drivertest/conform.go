package drivertest

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/consentry/consentry/guestwire"
	"github.com/consentry/consentry/vmhost"
)

// bootTime is enough for an emulated processor on a busy machine.
const bootTime = 2 * time.Minute

// Conform boots machines of c, whose guest is guestinit or behaves like it, and
// checks the contract of Driver and Machine.
func Conform(t *testing.T, d vmhost.Driver, c vmhost.Config) {
	if err := d.Check(t.Context()); err != nil {
		t.Fatalf("Check: %v", err)
	}
	t.Run("a context that has ended boots nothing", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if m, err := d.Boot(ctx, c); err == nil {
			t.Errorf("a machine runs; its end: %v", m.Kill())
		}
	})
	t.Run("hello, and power off when the host hangs up", func(t *testing.T) { hangUp(t, boot(t, d, c)) })
	t.Run("kill", func(t *testing.T) { kill(t, boot(t, d, c)) })
}

func boot(t *testing.T, d vmhost.Driver, c vmhost.Config) vmhost.Machine {
	t.Helper()
	m, err := d.Boot(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Kill(); err != nil {
			t.Errorf("kill: %v", err)
		}
	})
	return m
}

func hangUp(t *testing.T, m vmhost.Machine) {
	card := m.Card()
	if m.Card() != nil {
		t.Fatal("the card is handed over once")
	}
	if card != nil {
		defer card.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), bootTime)
	defer cancel()
	peer, hello, err := guestwire.Accept(ctx, m.Control(), nil)
	if err != nil {
		t.Fatalf("%v; the machine: %v", err, m.Kill())
	}
	if hello.Frames != (card == nil) {
		t.Errorf("machine and guest have %v and %v network card", card != nil, hello.Frames)
	}
	if hello.Kernel == "" || len(hello.Walls) == 0 {
		t.Errorf("hello %+v", hello)
	}
	soon, stop := context.WithTimeout(ctx, 10*time.Millisecond)
	defer stop()
	if err := m.Wait(soon); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it has ended: %v", err)
	}
	peer.Close()
	if err := m.Wait(ctx); err != nil {
		t.Errorf("after the hang-up: %v", err)
	}
}

func kill(t *testing.T, m vmhost.Machine) {
	card := m.Card()
	waited := make(chan error, 1)
	go func() { waited <- m.Wait(context.Background()) }()
	for range 2 {
		if err := m.Kill(); err != nil {
			t.Error(err)
		}
	}
	if err := <-waited; err != nil {
		t.Errorf("its end was asked for, and yet: %v", err)
	}
	if n, err := m.Control().Read(make([]byte, 1)); err == nil {
		t.Errorf("%d bytes of control after the end", n)
	}
	if card == nil {
		return
	}
	wire, err := net.FileConn(card)
	card.Close()
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	if wire.LocalAddr().Network() != "unix" {
		return // datagrams have no end
	}
	if _, err := io.ReadAll(wire); err != nil {
		t.Errorf("the card: %v", err)
	}
}
