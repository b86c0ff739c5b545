package router

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// chanLink is a link whose frames come from a test.
type chanLink struct {
	in     chan []byte
	closed chan struct{}
}

func (l *chanLink) ReadFrame(buf []byte) (int, error) {
	select {
	case frame := <-l.in:
		return copy(buf, frame), nil
	case <-l.closed:
		return 0, io.EOF
	}
}
func (l *chanLink) WriteFrame([]byte) error { return nil }
func (l *chanLink) Close() error            { close(l.closed); return nil }

// TestRunEndsUnderAHandshake stops a router while an app that never says ACK,
// another that waits for a verdict, and one that asked for DNS are held.
func TestRunEndsUnderAHandshake(t *testing.T) {
	link := &chanLink{in: make(chan []byte), closed: make(chan struct{})}
	dialled := make(chan struct{}, 10)
	broker := &fakeBroker{}
	broker.set(func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
		dialled <- struct{}{}
		if f.Host != "1.1.1.1" {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		client, server := net.Pipe()
		t.Cleanup(func() { server.Close() })
		return client, nil
	})
	r, err := New(Config{Link: link, Broker: broker})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	for _, dst := range []string{"1.1.1.1", "8.8.4.4"} {
		link.in <- goodSYN(appNet4.Addr(), netip.MustParseAddr(dst))
		<-dialled
	}
	time.Sleep(100 * time.Millisecond)
	cancel()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("Run: %v", err)
		}
	case <-time.After(3 * time.Second):
		buf := make([]byte, 1<<20)
		t.Fatalf("Run did not return\n%s", buf[:runtime.Stack(buf, true)])
	}
}
