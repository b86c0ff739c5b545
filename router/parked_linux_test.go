package router

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// parkedFlow is a flow that has moved a byte each way and then nothing for so
// long that its far end waits in the lot.
type parkedFlow struct {
	app   *net.TCPConn
	far   *net.TCPConn // the server's end
	agent int          // the agent's copy of the router's socket
	letGo func()       // closes it
}

func parkFlow(t *testing.T, l *lab, family string) parkedFlow {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	agent := make(chan int, 1)
	l.broker.set(func(ctx context.Context, f sandbox.Flow) (net.Conn, error) {
		conn, err := to(ln.Addr().String())(ctx, f)
		if err == nil {
			agent <- dup(t, conn)
		}
		return conn, err
	})
	app, err := l.dial("tcp", netip.AddrPortFrom(literal(family), 7).String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	f := parkedFlow{app: app.(*net.TCPConn), far: far.(*net.TCPConn), agent: <-agent}
	f.letGo = sync.OnceFunc(func() { unix.Close(f.agent) })
	t.Cleanup(func() { app.Close(); far.Close(); f.letGo() })
	for _, conn := range []net.Conn{app, far} {
		conn.SetDeadline(time.Now().Add(20 * time.Second))
	}
	f.carries(t, app, far)
	f.carries(t, far, app)
	f.waitParked(t, l)
	return f
}

func (f parkedFlow) carries(t *testing.T, from, to net.Conn) {
	t.Helper()
	buf := make([]byte, 5)
	if _, err := from.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(to, buf); err != nil || string(buf) != "hello" {
		t.Fatalf("%q came, %v", buf, err)
	}
}

func (f parkedFlow) waitParked(t *testing.T, l *lab) {
	t.Helper()
	eventually(t, "the flow is parked", func() bool {
		l.router.lot.mu.Lock()
		defer l.router.lot.mu.Unlock()
		for _, e := range l.router.lot.flows {
			if e.parked.Load() {
				return true
			}
		}
		return false
	})
}

// TestParkedFlows: what may happen to a flow happens to a parked one too.
func TestParkedFlows(t *testing.T) {
	l := newLab(t, labOptions{})
	both(t, func(t *testing.T, family string) {
		for name, happens := range map[string]func(*testing.T, parkedFlow){
			"both speak, again and again": func(t *testing.T, f parkedFlow) {
				for range 3 {
					f.carries(t, f.far, f.app)
					f.waitParked(t, l)
					f.carries(t, f.app, f.far)
				}
			},
			"the app says its last": func(t *testing.T, f parkedFlow) {
				closeWrite(f.app)
				if _, err := f.far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the far end sees %v", err)
				}
				f.carries(t, f.far, f.app)
			},
			"the far end says its last": func(t *testing.T, f parkedFlow) {
				closeWrite(f.far)
				if _, err := f.app.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the app sees %v", err)
				}
				f.carries(t, f.app, f.far)
			},
			"the app resets": func(t *testing.T, f parkedFlow) {
				f.app.SetLinger(0)
				f.app.Close()
				f.letGo() // as the agent does when the flow has ended
				if _, err := f.far.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("the far end sees %v", err)
				}
			},
			"the far end resets": func(t *testing.T, f parkedFlow) {
				f.far.SetLinger(0)
				f.far.Close()
				if _, err := f.app.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("the app sees %v", err)
				}
			},
			"it is revoked": func(t *testing.T, f parkedFlow) {
				disconnect(t, f.agent)
				if _, err := f.app.Read(make([]byte, 1)); !errors.Is(err, unix.ECONNRESET) {
					t.Errorf("the app sees %v", err)
				}
			},
			"it is revoked after the far end's last": func(t *testing.T, f parkedFlow) {
				closeWrite(f.far)
				if _, err := f.app.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
					t.Errorf("the app sees %v", err)
				}
				disconnect(t, f.agent)
				eventually(t, "the app's socket breaks", func() bool { return broken(f.app) })
			},
		} {
			t.Run(name, func(t *testing.T) { happens(t, parkFlow(t, l, family)) })
		}
	})
	eventually(t, "all flows end", func() bool { return l.router.Stats().Flows == 0 })
	l.router.lot.mu.Lock()
	defer l.router.lot.mu.Unlock()
	if n := len(l.router.lot.flows); n != 0 {
		t.Errorf("%d flows are left in the lot", n)
	}
}
