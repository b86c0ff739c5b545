//go:build unix

package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// peers returns two served ends; the first calls, the second answers with handle.
func peers(t *testing.T, handle Handler) (caller, callee *Peer) {
	t.Helper()
	a, file, err := fdwire.Pair()
	if err != nil {
		t.Fatal(err)
	}
	b, err := fdwire.FromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	caller, callee = New(a, nil), New(b, handle)
	var served sync.WaitGroup
	served.Go(func() { caller.Serve(context.Background()) })
	served.Go(func() { callee.Serve(context.Background()) })
	t.Cleanup(func() { caller.Close(); callee.Close(); served.Wait() })
	return caller, callee
}

func TestCallsRunSideBySide(t *testing.T) {
	caller, _ := peers(t, func(_ context.Context, verb string, body json.RawMessage, _ []*os.File) (Reply, error) {
		var n int
		if err := json.Unmarshal(body, &n); err != nil {
			return Reply{}, err
		}
		if n%7 == 0 {
			return Reply{}, fmt.Errorf("number %d: %w", n, sandbox.ErrDenied)
		}
		return Reply{Body: n * 2}, nil
	})
	var calls sync.WaitGroup
	for n := range 500 {
		calls.Go(func() {
			var got int
			_, err := caller.Call(t.Context(), "double", n, &got)
			if n%7 == 0 {
				if !errors.Is(err, sandbox.ErrDenied) || got != 0 {
					t.Errorf("%d: got %d, %v", n, got, err)
				}
			} else if err != nil || got != 2*n {
				t.Errorf("%d: got %d, %v", n, got, err)
			}
		})
	}
	calls.Wait()
}

// TestToldWantsNoAnswer: what is told is heard, an error of its handler harms
// nobody, and calls go on beside it.
func TestToldWantsNoAnswer(t *testing.T) {
	heard := make(chan string, 100)
	caller, callee := peers(t, func(_ context.Context, verb string, body json.RawMessage, _ []*os.File) (Reply, error) {
		heard <- verb + string(body)
		return Reply{Body: true}, sandbox.ErrDenied
	})
	for n := range 50 {
		if err := caller.Tell("told", n); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := caller.Call(t.Context(), "ask", nil, nil); !errors.Is(err, sandbox.ErrDenied) {
		t.Errorf("a call beside it: %v", err)
	}
	all := map[string]bool{}
	for range 51 {
		all[<-heard] = true
	}
	if len(all) != 51 || !all["told49"] {
		t.Errorf("heard %v", all)
	}
	callee.Close()
	for end := time.Now().Add(20 * time.Second); caller.Tell("told", 0) == nil; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("a lost peer is still told things")
		}
	}
}

// TestTellingTooMuchEndsTheConnection: what is told is bounded like calls.
func TestTellingTooMuchEndsTheConnection(t *testing.T) {
	caller, callee := peers(t, func(ctx context.Context, _ string, _ json.RawMessage, _ []*os.File) (Reply, error) {
		<-ctx.Done()
		return Reply{}, ctx.Err()
	})
	told := 0
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); told++ {
		if caller.Tell("told", 0) != nil {
			break
		}
	}
	if told < maxCalls {
		t.Errorf("the connection ended after %d tellings", told)
	}
	if _, err := callee.Call(t.Context(), "ask", nil, nil); !errors.Is(err, sandbox.ErrUnavailable) {
		t.Errorf("after %d tellings the other side still calls: %v", told, err)
	}
}

func TestALostPeerIsANo(t *testing.T) {
	started := make(chan struct{})
	caller, callee := peers(t, func(ctx context.Context, _ string, _ json.RawMessage, _ []*os.File) (Reply, error) {
		close(started)
		<-ctx.Done()
		return Reply{Body: true}, nil
	})
	go func() {
		<-started
		callee.Close()
	}()
	var yes bool
	if _, err := caller.Call(t.Context(), "ask", nil, &yes); !errors.Is(err, sandbox.ErrUnavailable) || yes {
		t.Fatalf("got %v, %v", yes, err)
	}
	if _, err := caller.Call(t.Context(), "ask", nil, &yes); !errors.Is(err, sandbox.ErrUnavailable) || yes {
		t.Fatalf("later call: %v, %v", yes, err)
	}
}

func TestACallerThatGivesUpCancelsTheHandler(t *testing.T) {
	cancelled := make(chan struct{})
	caller, _ := peers(t, func(ctx context.Context, _ string, _ json.RawMessage, _ []*os.File) (Reply, error) {
		<-ctx.Done()
		close(cancelled)
		return Reply{}, ctx.Err()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := caller.Call(ctx, "ask", nil, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	select {
	case <-cancelled:
	case <-time.After(5 * time.Second):
		t.Fatal("the handler goes on")
	}
}

func TestUnknownErrorsAreUnavailable(t *testing.T) {
	caller, _ := peers(t, func(context.Context, string, json.RawMessage, []*os.File) (Reply, error) {
		return Reply{}, errors.New("disk on fire")
	})
	if _, err := caller.Call(t.Context(), "ask", nil, nil); !errors.Is(err, sandbox.ErrUnavailable) {
		t.Fatal(err)
	}
}

// dialBroker connects to one real server.
type dialBroker struct {
	addr string
	mu   sync.Mutex
	open []net.Conn
}

func (b *dialBroker) Dial(_ context.Context, f sandbox.Flow) (net.Conn, error) {
	if f.Host != "allowed.example" {
		return nil, sandbox.ErrDenied
	}
	conn, err := net.Dial("tcp", b.addr)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = append(b.open, conn)
	return conn, err
}

// dialled returns the connections made so far.
func (b *dialBroker) dialled() []net.Conn {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

func (b *dialBroker) Open(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) {
	return sandbox.DataReply{Values: map[string]any{"email": "ada@example.org"}}, nil
}

func (b *dialBroker) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrHeld }

func TestABrokerOverTheWire(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(conn, conn); conn.Close() }()
		}
	}()
	real := &dialBroker{addr: echo.Addr().String()}
	server := NewBrokerServer(real)
	caller, _ := peers(t, func(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (Reply, error) {
		fdwire.CloseAll(files)
		reply, known, err := server.Handle(ctx, verb, body)
		if !known {
			t.Errorf("verb %q", verb)
		}
		return reply, err
	})
	remote := NewBroker(caller)

	if _, err := remote.Dial(t.Context(), sandbox.Flow{Network: "tcp", Host: "other.example", Port: 80}); !errors.Is(err, sandbox.ErrDenied) {
		t.Fatalf("other host: %v", err)
	}
	if len(real.dialled()) != 0 {
		t.Fatal("the other host was dialled")
	}
	conn, err := remote.Dial(t.Context(), sandbox.Flow{Network: "tcp", Host: "allowed.example", Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	half, can := conn.(interface{ CloseWrite() error })
	if !can {
		t.Fatalf("%T has no half-close", conn)
	}
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || string(got) != "hello" {
		t.Fatalf("echo gave %q, %v", got, err)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) { // it is told, and not waited for
		_, err := real.dialled()[0].Write([]byte("x"))
		if errors.Is(err, net.ErrClosed) {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the agent's copy of a closed flow is still open: %v", err)
		}
	}
	if err := remote.File(t.Context(), sandbox.FileRequest{}); !errors.Is(err, sandbox.ErrHeld) {
		t.Fatalf("File: %v", err)
	}
	reply, err := remote.Open(t.Context(), sandbox.DataRequest{Kind: "identity"})
	if err != nil || reply.Values["email"] != "ada@example.org" {
		t.Fatalf("Open: %v, %v", reply, err)
	}
}

func TestClosingTheServerCutsItsFlows(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	real := &dialBroker{addr: l.Addr().String()}
	server := NewBrokerServer(real)
	body, err := json.Marshal(sandbox.Flow{Network: "tcp", Host: "allowed.example", Port: 80})
	if err != nil {
		t.Fatal(err)
	}
	reply, _, err := server.Handle(t.Context(), verbDial, body)
	if err != nil {
		t.Fatal(err)
	}
	fdwire.CloseAll(reply.Files)
	server.Close()
	if _, err := real.dialled()[0].Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Fatalf("flow outlived the worker: %v", err)
	}
	if _, _, err := server.Handle(t.Context(), verbDial, body); !errors.Is(err, sandbox.ErrUnavailable) {
		t.Fatalf("dial after close: %v", err)
	}
}

// TestFlowsAreClosedTogether: closings wait a moment for others, each arrives, and
// a reset is a reset at the far end.
func TestFlowsAreClosedTogether(t *testing.T) {
	const flows = 3*tellMost + 5
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	real := &dialBroker{addr: l.Addr().String()}
	server := NewBrokerServer(real)
	var told atomic.Int32
	caller, _ := peers(t, func(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (Reply, error) {
		if verb == verbClosed {
			told.Add(1)
		}
		reply, _, err := server.Handle(ctx, verb, body)
		if err != nil {
			t.Errorf("%s: %v", verb, err)
		}
		return reply, err
	})
	remote := NewBroker(caller)
	var near, far []net.Conn
	for range flows {
		conn, err := remote.Dial(t.Context(), sandbox.Flow{Network: "tcp", Host: "allowed.example", Port: 80})
		if err != nil {
			t.Fatal(err)
		}
		other, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer other.Close()
		near, far = append(near, conn), append(far, other)
	}
	near[0].SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := near[0].Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a read with a deadline: %v", err)
	}
	for _, conn := range near {
		if err := conn.(interface{ SetLinger(int) error }).SetLinger(0); err != nil {
			t.Fatal(err)
		}
		conn.Close()
		conn.Close()
	}
	for _, conn := range far {
		conn.SetDeadline(time.Now().Add(20 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Fatalf("the far end sees %v, want a reset", err)
		}
	}
	if n := told.Load(); n > flows/4 {
		t.Errorf("%d messages for %d flows", n, flows)
	}
}

// TestDatagramsAndTrouble crosses a pair that keeps messages apart.
func TestDatagramsAndTrouble(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := [2]net.Conn{}
	for i, fd := range fds {
		file := os.NewFile(uintptr(fd), "pair")
		ends[i], err = net.FileConn(file)
		file.Close()
		if err != nil {
			t.Fatal(err)
		}
		defer ends[i].Close()
	}
	buf := make([]byte, MaxDatagram)
	read := func() ([]byte, error) {
		n, err := ends[1].Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return Unframe(buf[:n])
	}
	for _, data := range []string{"", "\x00", "data", "ends like trouble\x00\x10\x06"} {
		if err := SendDatagram(ends[0], []byte(data)); err != nil {
			t.Fatal(err)
		}
		if got, err := read(); err != nil || string(got) != data {
			t.Errorf("%q came as %q, %v", data, got, err)
		}
	}
	for room, want := range map[int]int{1300: 1300, -5: 0, 1 << 20: 65535} {
		if err := SendTrouble(ends[0], sandbox.Trouble{Kind: sandbox.TooBig, Room: room}); err != nil {
			t.Fatal(err)
		}
		if got, err := read(); !errors.Is(err, sandbox.Trouble{Kind: sandbox.TooBig, Room: want}) {
			t.Errorf("room for %d came as %q, %v", room, got, err)
		}
	}
	for _, bad := range []string{"", "\x06", "\x00\x00\x00\x06", "\x00\x00\xff"} {
		if got, err := Unframe([]byte(bad)); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%q was taken for %q, %v", bad, got, err)
		}
	}
}
