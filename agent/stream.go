package agent

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// stream is one upgraded connection: a terminal, or a script, that follows a
// run. It is a sink of the run's output.
type stream struct {
	conn net.Conn
	in   *bufio.Reader

	mu sync.Mutex // one frame at a time
}

// Bounds of a stream.
const (
	stdinQueue = 64 // frames that wait for the app to read
)

// upgrade answers 101 and takes the connection over.
func upgrade(w http.ResponseWriter, r *http.Request) (*stream, error) {
	if r.Header.Get("Upgrade") != api.StreamProtocol {
		return nil, invalid("this call ends in a stream: send Upgrade: %s", api.StreamProtocol)
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	const answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " + api.StreamProtocol + "\r\n\r\n"
	if err := errors.Join(conn.SetDeadline(time.Time{}), writeAll(conn, answer)); err != nil {
		conn.Close()
		return nil, err
	}
	return &stream{conn: conn, in: buffered.Reader}, nil
}

func writeAll(conn net.Conn, text string) error {
	_, err := conn.Write([]byte(text))
	return err
}

func (s *stream) frame(kind api.FrameType, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return api.WriteFrame(s.conn, kind, payload)
}

func (s *stream) json(kind api.FrameType, v any) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return api.WriteJSONFrame(s.conn, kind, v)
}

func (s *stream) output(name string, data []byte) error {
	kind := api.FrameOut
	if name == streamErr {
		kind = api.FrameErr
	}
	return s.frame(kind, data)
}

func (s *stream) progress(p api.Progress) {
	s.json(api.FrameProgress, p) //nolint:errcheck // a client that left is noticed when the run starts
}

// fail says why and ends the stream.
func (s *stream) fail(err error) {
	s.json(api.FrameError, asAPIError(err)) //nolint:errcheck // the client has gone
	s.conn.Close()
}

// target is what the frames of a client act on: a run, or an exec.
type target struct {
	stdin  *os.File // may be nil
	signal func(context.Context, sandbox.Signal) error
	resize func(context.Context, sandbox.WindowSize) error
}

// serve carries the client's frames to t until the client leaves; the error
// says how it left. Input is queued, so that a signal is not stuck behind
// bytes the app does not read, as long as the queue lasts.
func (s *stream) serve(ctx context.Context, t target) error {
	queue := make(chan []byte, stdinQueue)
	var feeder sync.WaitGroup
	feeder.Go(func() { feed(t.stdin, queue) })
	err := s.read(ctx, t, queue)
	close(queue)
	if t.stdin != nil {
		t.stdin.SetWriteDeadline(time.Now()) //nolint:errcheck // so that the feeder ends
	}
	feeder.Wait()
	if t.stdin != nil {
		t.stdin.SetWriteDeadline(time.Time{}) //nolint:errcheck // for the next client
	}
	return err
}

// feed writes input to the app; nil in the queue closes it.
func feed(stdin *os.File, queue <-chan []byte) {
	for data := range queue {
		if stdin == nil {
			continue
		}
		if data == nil {
			stdin.Close()
		} else if _, err := stdin.Write(data); err != nil {
			stdin = nil // the app reads no more: the rest is for nobody
		}
	}
}

var errDetached = errors.New("the client left")

func (s *stream) read(ctx context.Context, t target, queue chan<- []byte) error {
	buf := make([]byte, api.MaxFrame)
	for {
		kind, payload, err := api.ReadFrame(s.in, buf)
		if err != nil {
			return err
		}
		switch kind {
		case api.FrameIn:
			queue <- append([]byte{}, payload...)
		case api.FrameClose:
			queue <- nil
		case api.FrameDetach:
			return errDetached
		case api.FrameSize:
			err = decodeFrame(payload, func(size sandbox.WindowSize) error { return t.resize(ctx, size) })
		case api.FrameSignal:
			err = decodeFrame(payload, func(k api.KillRequest) error { return t.signal(ctx, sandbox.Signal(k.Signal)) })
		default:
			return invalid("frame %q is not for clients to send", byte(kind))
		}
		if err != nil {
			s.frame(api.FrameNotice, []byte(err.Error())) //nolint:errcheck // the read tells
		}
	}
}

func decodeFrame[T any](payload []byte, then func(T) error) error {
	var v T
	if err := json.Unmarshal(payload, &v); err != nil {
		return err
	}
	return then(v)
}

// showPrompts sends the prompts of a run, those that wait already first, until
// ctx ends.
func (s *stream) showPrompts(ctx context.Context, a *Agent, run string) {
	changes, stop := a.engine.Watch()
	defer stop()
	for _, p := range a.engine.Pending() {
		if p.Request.Run == run && p.Live && !p.Queued {
			s.json(api.FramePrompt, a.promptToAPI(p)) //nolint:errcheck // the reader notices
		}
	}
	for {
		select {
		case c, open := <-changes:
			if !open {
				return
			}
			if c.Opened != nil && c.Opened.Request.Run == run {
				s.json(api.FramePrompt, a.promptToAPI(*c.Opened)) //nolint:errcheck // as above
			}
			if c.Settled != nil && c.Settled.Request.Run == run {
				s.json(api.FrameSettled, a.promptToAPI(*c.Settled)) //nolint:errcheck // as above
			}
		case <-ctx.Done():
			return
		}
	}
}

// whileConnected returns a context that ends when the client hangs up. It is
// for the time before serve, and done must be called before that; what the
// client sends meanwhile stays unread.
func (s *stream) whileConnected(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	var peek sync.WaitGroup
	peek.Go(func() {
		if _, err := s.in.Peek(1); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			cancel()
		}
	})
	return ctx, func() {
		s.conn.SetReadDeadline(time.Now()) //nolint:errcheck // a closed one has ended Peek
		peek.Wait()
		s.conn.SetReadDeadline(time.Time{}) //nolint:errcheck // as above
		cancel()
	}
}

// leaveTime is how long a client has for its last frames.
const leaveTime = 5 * time.Second

// awaitEnd takes the last frames of a client that is about to leave, so that
// it does not write into a closed connection.
func (s *stream) awaitEnd() {
	s.conn.SetReadDeadline(time.Now().Add(leaveTime)) //nolint:errcheck // then it is closed
	buf := make([]byte, api.MaxFrame)
	for {
		if kind, _, err := api.ReadFrame(s.in, buf); err != nil || kind == api.FrameDetach {
			return
		}
	}
}
