package router

import (
	"context"
	"fmt"
	"net"
	"sync"

	"github.com/consentry/consentry/sandbox"
)

// fakeBroker answers with a function and remembers what it was asked.
type fakeBroker struct {
	mu    sync.Mutex
	asked []sandbox.Flow
	dial  func(context.Context, sandbox.Flow) (net.Conn, error)
}

func (b *fakeBroker) Dial(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
	b.mu.Lock()
	b.asked = append(b.asked, f)
	dial := b.dial
	b.mu.Unlock()
	return dial(ctx, f)
}

func (b *fakeBroker) set(dial func(context.Context, sandbox.Flow) (net.Conn, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dial, b.asked = dial, nil
}

// forget what was asked: a soak asks much.
func (b *fakeBroker) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = nil
}

func (b *fakeBroker) flows() []sandbox.Flow {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]sandbox.Flow(nil), b.asked...)
}

func (b *fakeBroker) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{}, sandbox.ErrDenied
}
func (b *fakeBroker) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

func refusing(err error) func(context.Context, sandbox.Flow) (net.Conn, error) {
	return func(context.Context, sandbox.Flow) (net.Conn, error) {
		return nil, fmt.Errorf("flow: %w", err)
	}
}
