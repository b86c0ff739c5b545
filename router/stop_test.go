package router

import (
	"context"
	"io"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/consentry/consentry/sandbox"
)

// chanLink is a link whose frames come from a test.
type chanLink struct {
	in     chan []byte
	out    chan []byte // nil: what is written is lost
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

func (l *chanLink) WriteFrame(frame []byte) error {
	if l.out != nil {
		l.out <- slices.Clone(frame)
	}
	return nil
}

func (l *chanLink) Close() error { close(l.closed); return nil }

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

// TestGivingUpBeforeTheStackWaits is a stop that comes at the worst moment.
func TestGivingUpBeforeTheStackWaits(t *testing.T) {
	r, err := New(Config{Link: sink{}, Broker: &fakeBroker{dial: refusing(sandbox.ErrDenied)}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.shutDown(func() {})
	ended := make(chan bool, 1)
	forward := tcp.NewForwarder(r.stack, bufferSize, 1, func(req *tcp.ForwarderRequest) {
		shake := newHandshake(time.Hour)
		defer shake.end()
		shake.giveUp()
		_, err := req.CreateEndpoint(&shake.queue)
		req.Complete(false)
		ended <- err != nil
	})
	r.stack.SetTransportProtocolHandler(tcp.ProtocolNumber, forward.HandlePacket)
	r.handleFrame(goodSYN(appNet4.Addr(), netip.MustParseAddr("1.1.1.1")))
	select {
	case failed := <-ended:
		if !failed {
			t.Error("a handshake that nobody answered succeeded")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the handshake is still waited for")
	}
}

// TestStoppingASlowFlow: a flow that waits for its turn at a low bandwidth ends
// with the router.
func TestStoppingASlowFlow(t *testing.T) {
	r, err := New(Config{Link: sink{}, Broker: &fakeBroker{dial: refusing(sandbox.ErrDenied)}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.shutDown(func() {})
	client, server := net.Pipe()
	defer server.Close()
	s := &splice{out: newFarEnd(client, r.lot, &r.crew)}
	s.out.read = func() {}
	go func() {
		time.Sleep(50 * time.Millisecond)
		s.out.expire()
	}()
	slow := newPacer(1)
	spent := make(chan error, 1)
	go func() { spent <- spend(slow.down, 10*minBurst, s.alive) }()
	select {
	case err := <-spent:
		if err == nil {
			t.Error("a day's worth of bytes was paid for at once")
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the flow still waits for its turn")
	}
}
