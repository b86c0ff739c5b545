package guestwire

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/xtaci/smux"

	"github.com/consentry/consentry/sandbox"
)

// ends are both ends of one connection, after the hello.
func ends(t *testing.T, hello Hello, ofHost, ofGuest Handler) (host, guest *Peer, heard Hello) {
	t.Helper()
	ours, theirs := net.Pipe()
	greeted := make(chan error, 1)
	go func() {
		var err error
		guest, err = Greet(t.Context(), theirs, hello, ofGuest)
		greeted <- err
	}()
	host, heard, err := Accept(t.Context(), ours, ofHost)
	if err := errors.Join(err, <-greeted); err != nil {
		t.Fatal(err)
	}
	for _, p := range []*Peer{host, guest} {
		served := make(chan struct{})
		go func() { defer close(served); p.Serve(context.Background()) }()
		t.Cleanup(func() { p.Close(); <-served })
	}
	return host, guest, heard
}

func TestHello(t *testing.T) {
	_, _, heard := ends(t, Hello{Kernel: "6.12\x1b[2J", LSM: []string{"landlock", "bpf"}}, nil, nil)
	if heard.Version != Version || heard.Kernel != "6.12 [2J" || len(heard.LSM) != 2 {
		t.Errorf("heard %+v", heard)
	}
}

// TestHelloOfAnother: what is no hello of this version ends the connection, and
// both ends hear why.
func TestHelloOfAnother(t *testing.T) {
	for name, c := range map[string]struct {
		first string
		want  error
	}{
		"another version": {`{"verb":"hello","body":{"version":9}}`, ErrVersion},
		"no version":      {`{"verb":"hello","body":{}}`, ErrVersion},
		"a call":          {`{"verb":"start","body":{"version":1}}`, sandbox.ErrInvalid},
		"an answer":       {`{"verb":"hello","answer":true,"body":{"version":1}}`, sandbox.ErrInvalid},
		"no object":       {`[1]`, sandbox.ErrInvalid},
		"a wrong type":    {`{"verb":"hello","body":{"version":1,"lsm":7}}`, sandbox.ErrInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			ours, theirs := net.Pipe()
			go sendRaw(theirs, []byte(c.first))
			_, _, err := Accept(t.Context(), ours, nil)
			if !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if _, err := ours.Write([]byte{0}); err == nil {
				t.Error("the connection stands")
			}
		})
	}
}

// sendRaw opens a stream as a guest and sends one message as it is, with its
// true length.
func sendRaw(conn io.ReadWriteCloser, body []byte) {
	session, err := newSession(conn, true)
	if err != nil {
		panic(err)
	}
	stream, err := session.OpenStream()
	if err != nil {
		return
	}
	stream.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...))
	io.Copy(io.Discard, stream)
	session.Close()
}

func TestVersionIsTold(t *testing.T) {
	ours, theirs := net.Pipe()
	go Accept(t.Context(), ours, nil)
	session, err := newSession(theirs, true)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	p := &Peer{session: session}
	err = p.Call(t.Context(), verbHello, map[string]int{"version": 9}, nil)
	if err == nil || !strings.Contains(err.Error(), "9, this program speaks 2") {
		t.Errorf("the guest heard %v", err)
	}
}

func TestHelloIsWaitedForAsLongAsTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := Accept(ctx, ours, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

func TestCalls(t *testing.T) {
	type sum struct{ A, B int }
	add := func(_ context.Context, c *Call) error {
		var s sum
		if err := c.Read(&s); err != nil {
			return err
		}
		if c.Verb != "add" {
			return fmt.Errorf("%w: no %q", sandbox.ErrDenied, c.Verb)
		}
		return c.Answer(s.A + s.B)
	}
	host, guest, _ := ends(t, Hello{}, add, add)
	for _, p := range []*Peer{host, guest} {
		var got int
		if err := p.Call(t.Context(), "add", sum{2, 3}, &got); err != nil || got != 5 {
			t.Errorf("%d, %v", got, err)
		}
		if err := p.Call(t.Context(), "sub", sum{2, 3}, &got); !errors.Is(err, sandbox.ErrDenied) || !strings.Contains(err.Error(), `no "sub"`) {
			t.Errorf("%v", err)
		}
		if err := p.Call(t.Context(), "add", "text", &got); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%v", err)
		}
	}
}

// TestBytes: a stream carries more than any buffer, both ways, and each
// direction ends by itself.
func TestBytes(t *testing.T) {
	echo := func(_ context.Context, c *Call) error {
		if err := c.Answer(nil); err != nil {
			return err
		}
		_, err := io.Copy(c.Stream(), c.Stream())
		return err
	}
	host, _, _ := ends(t, Hello{}, nil, echo)
	stream, err := host.Open(t.Context(), "echo", nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<17) // 2 MiB
	go func() { stream.Write(sent); stream.CloseWrite() }()
	if got, err := io.ReadAll(stream); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("%d bytes came back of %d: %v", len(got), len(sent), err)
	}
}

// TestSlowReaderHoldsItsOwnStream: bytes that nobody reads do not keep other
// calls from being answered.
func TestSlowReaderHoldsItsOwnStream(t *testing.T) {
	flood := func(ctx context.Context, c *Call) error {
		if err := c.Answer(nil); err != nil || c.Verb == "ping" {
			return err
		}
		for {
			if _, err := c.Stream().Write(make([]byte, 64<<10)); err != nil {
				return err
			}
		}
	}
	host, _, _ := ends(t, Hello{}, nil, flood)
	for range 10 {
		stream, err := host.Open(t.Context(), "flood", nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := host.Call(ctx, "ping", nil, nil); err != nil {
		t.Error(err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	wait := func(ctx context.Context, _ *Call) error { <-ctx.Done(); return ctx.Err() }
	host, _, _ := ends(t, Hello{}, nil, wait)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if err := host.Call(ctx, "wait", nil, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestCallEndsWithTheConnection(t *testing.T) {
	wait := func(ctx context.Context, _ *Call) error { <-ctx.Done(); return ctx.Err() }
	host, guest, _ := ends(t, Hello{}, nil, wait)
	time.AfterFunc(20*time.Millisecond, func() { guest.Close() })
	if err := host.Call(t.Context(), "wait", nil, nil); !errors.Is(err, sandbox.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if err := host.Call(t.Context(), "more", nil, nil); !errors.Is(err, sandbox.ErrUnavailable) {
		t.Errorf("after the end: %v", err)
	}
}

// TestLongMessagesAreRefused before memory is taken for them.
func TestLongMessagesAreRefused(t *testing.T) {
	if err := writeMessage(io.Discard, message{Body: []byte(`"` + strings.Repeat("x", MaxMessage) + `"`)}); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("sent: %v", err)
	}
	for _, n := range []uint32{MaxMessage + 1, 1 << 31, 1<<32 - 1} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := readMessage(bytes.NewReader(binary.BigEndian.AppendUint32(nil, n)))
		runtime.ReadMemStats(&after)
		if !errors.Is(err, sandbox.ErrInvalid) || after.TotalAlloc-before.TotalAlloc > 1<<16 {
			t.Errorf("%d announced: %v, %d bytes taken", n, err, after.TotalAlloc-before.TotalAlloc)
		}
	}
}

// TestTooManyStreams: a guest that opens streams for ever loses its connection.
func TestTooManyStreams(t *testing.T) {
	ours, theirs := net.Pipe()
	var handlers atomic.Int64
	served := make(chan error, 1)
	go func() {
		host, _, err := Accept(context.Background(), ours, func(ctx context.Context, _ *Call) error {
			handlers.Add(1)
			<-ctx.Done()
			return nil
		})
		if err == nil {
			err = host.Serve(context.Background())
		}
		served <- err
	}()
	guest, err := Greet(t.Context(), theirs, Hello{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer guest.Close()
	for range 2 * MaxStreams {
		stream, err := guest.session.OpenStream()
		if err == nil {
			err = writeMessage(stream, message{Verb: "wait"})
		}
		if err != nil {
			break
		}
	}
	if err := <-served; !errors.Is(err, sandbox.ErrInvalid) || handlers.Load() > MaxStreams {
		t.Errorf("%d handlers ran, then %v", handlers.Load(), err)
	}
}

// TestSecondHello: it is a call like any other, which nobody answers.
func TestSecondHello(t *testing.T) {
	host, guest, _ := ends(t, Hello{}, nil, nil)
	if err := guest.Call(t.Context(), verbHello, Hello{Version: Version}, nil); !errors.Is(err, sandbox.ErrInvalid) {
		t.Errorf("%v", err)
	}
	if host.session.IsClosed() {
		t.Error("the connection is over")
	}
}

func TestWordsOfAGuest(t *testing.T) {
	for in, want := range map[string]string{
		"plain": "plain", "\x1b[31mred": " [31mred", "a\u202eb": "a b", "a\nb": "a b", "\xff": " ", "ü": "ü",
	} {
		if got := clean(in); got != want {
			t.Errorf("%q is %q, want %q", in, got, want)
		}
	}
	e := Ended{Exit: sandbox.Exit{Code: 4711, Reason: "\x07bell"}}
	e.Check()
	if e.Exit.Code != 255 || e.Exit.Reason != " bell" {
		t.Errorf("%+v", e.Exit)
	}
	for _, s := range []Standard{{File: -1}, {File: 3}} {
		if err := s.Check(); !errors.Is(err, sandbox.ErrInvalid) {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// record is the bytes that an end sends in a session where all goes well, for
// the fuzzers to begin with.
func record(t testing.TB, isGuest bool) []byte {
	ours, theirs := net.Pipe()
	var sent bytes.Buffer
	tap := tapped{theirs, &sent}
	hostConn, guestConn := io.ReadWriteCloser(ours), io.ReadWriteCloser(tap)
	if !isGuest {
		hostConn, guestConn = tapped{ours, &sent}, theirs
	}
	answer := func(_ context.Context, c *Call) error { return c.Answer(nil) }
	done := make(chan struct{})
	go func() {
		defer close(done)
		guest, err := Greet(context.Background(), guestConn, Hello{Kernel: "6.12", LSM: []string{"bpf"}}, answer)
		if err == nil {
			guest.Serve(context.Background())
		}
	}()
	host, _, err := Accept(context.Background(), hostConn, answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := host.Call(context.Background(), VerbStats, nil, nil); err != nil {
		t.Fatal(err)
	}
	host.Close()
	<-done
	return sent.Bytes()
}

type tapped struct {
	io.ReadWriteCloser
	sent *bytes.Buffer
}

func (c tapped) Write(p []byte) (int, error) {
	c.sent.Write(p)
	return c.ReadWriteCloser.Write(p)
}

// canned is a connection on which the other end says what it was told to.
type canned struct {
	*bytes.Reader
	over chan struct{}
}

func (c canned) Write(p []byte) (int, error) { return len(p), nil }

func (c canned) Close() error {
	select {
	case <-c.over:
	default:
		close(c.over)
	}
	return nil
}

const fuzzTime = 5 * time.Second

// FuzzHost is a host whose guest says anything.
func FuzzHost(f *testing.F) {
	f.Add(record(f, true))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), fuzzTime)
		defer cancel()
		p, hello, err := Accept(ctx, canned{bytes.NewReader(in), make(chan struct{})}, serveAll)
		if err != nil {
			return
		}
		if hello.Version != Version || len(hello.Walls) > maxWalls {
			t.Errorf("a hello was taken: %+v", hello)
		}
		p.Serve(ctx)
		if ctx.Err() != nil {
			t.Error("it went on after the connection's end")
		}
	})
}

// FuzzGuest is a guest whose host says anything.
func FuzzGuest(f *testing.F) {
	f.Add(record(f, false))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, in []byte) {
		ctx, cancel := context.WithTimeout(t.Context(), fuzzTime)
		defer cancel()
		p, err := Greet(ctx, canned{bytes.NewReader(in), make(chan struct{})}, Hello{}, serveAll)
		if err != nil {
			return
		}
		p.Serve(ctx)
		if ctx.Err() != nil {
			t.Error("it went on after the connection's end")
		}
	})
}

// serveAll answers everything, and reads what follows.
func serveAll(_ context.Context, c *Call) error {
	var start Start
	if err := c.Read(&start); err != nil {
		return err
	}
	if err := c.Answer(nil); err != nil {
		return err
	}
	_, err := io.Copy(io.Discard, c.Stream())
	return err
}

// FuzzMessage: what is read is what was written, and lengths are believed only
// up to the bound.
func FuzzMessage(f *testing.F) {
	var good bytes.Buffer
	if err := writeMessage(&good, message{Verb: "start", Body: []byte(`{"number":1}`)}); err != nil {
		f.Fatal(err)
	}
	f.Add(good.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := readMessage(bytes.NewReader(in))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := writeMessage(&again, m); err != nil {
			t.Fatal(err)
		}
		back, err := readMessage(&again)
		if err != nil || back.Verb != m.Verb || back.Answer != m.Answer || back.Code != m.Code {
			t.Errorf("%+v became %+v, %v", m, back, err)
		}
	})
}

var _ Stream = (*smux.Stream)(nil)
