package guestwire

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/xtaci/smux"

	"github.com/consentry/consentry/sandbox"
)

// Bounds of a connection.
const (
	// MaxStreams the other end may have open: an app's standard files, as many
	// of each exec, and the calls under way.
	MaxStreams = 128
	// receiveBuffer is what may have come and was not read yet, of all streams
	// together, in bytes; streamBuffer is told to the other end for each.
	receiveBuffer = 4 << 20
	streamBuffer  = 256 << 10
	frameSize     = 32 << 10
	// openingTime is how long a stream that was opened may stay without its message.
	openingTime = 30 * time.Second
)

// Stream is what follows the answer to some calls. CloseWrite ends our
// direction only. After a Close the other end reads an end, and its writes wait
// for its own Close: whoever only writes must look for that end.
type Stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// Handler serves one call. It answers with Call.Answer, or returns an error,
// which is then the answer. The stream is closed when it returns.
type Handler func(ctx context.Context, c *Call) error

// Call is one call of the other end.
type Call struct {
	Verb string

	body     json.RawMessage
	stream   *smux.Stream
	answered bool
}

// Read decodes what the call was made with.
func (c *Call) Read(into any) error { return decode(c.body, into) }

// Answer says that the call has succeeded; body may be nil. After it the stream
// is the caller's and the handler's.
func (c *Call) Answer(body any) error {
	m := message{Answer: true}
	if body != nil {
		raw, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("answer: %w", err)
		}
		m.Body = raw
	}
	c.answered = true
	return writeMessage(c.stream, m)
}

// Stream is for the bytes after the answer.
func (c *Call) Stream() Stream { return c.stream }

// Peer is one end of a connection after the hello.
type Peer struct {
	session *smux.Session
	handle  Handler

	mu      sync.Mutex
	serving int
}

func newSession(conn io.ReadWriteCloser, isGuest bool) (*smux.Session, error) {
	config := &smux.Config{
		Version: 2, KeepAliveDisabled: true, // a paused guest is no dead one
		MaxFrameSize: frameSize, MaxReceiveBuffer: receiveBuffer, MaxStreamBuffer: streamBuffer,
	}
	if isGuest {
		return smux.Client(conn, config)
	}
	return smux.Server(conn, config)
}

// Close ends the connection, and Serve at both ends.
func (p *Peer) Close() error { return p.session.Close() }

// Gone is closed when this end has closed the connection.
func (p *Peer) Gone() <-chan struct{} { return p.session.CloseChan() }

// Serve answers calls until the connection ends, and returns once every handler
// has returned.
func (p *Peer) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var handlers sync.WaitGroup
	stop := context.AfterFunc(ctx, func() { p.session.Close() })
	err := p.accept(ctx, &handlers)
	stop()
	cancel()
	p.session.Close()
	handlers.Wait()
	return err
}

func (p *Peer) accept(ctx context.Context, handlers *sync.WaitGroup) error {
	for {
		stream, err := p.session.AcceptStream()
		if err != nil {
			return err
		}
		if !p.enter() {
			return fmt.Errorf("%w: more than %d streams of the other end", sandbox.ErrInvalid, MaxStreams)
		}
		handlers.Go(func() {
			defer p.leave()
			p.serve(ctx, stream)
		})
	}
}

func (p *Peer) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving++
	return p.serving <= MaxStreams
}

func (p *Peer) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.serving--
}

// serve reads the message that opened a stream and has it handled.
func (p *Peer) serve(ctx context.Context, stream *smux.Stream) {
	defer stream.Close()
	//nolint:errcheck // an ended stream fails the read
	stream.SetReadDeadline(time.Now().Add(openingTime))
	m, err := readMessage(stream)
	if err != nil || m.Answer {
		return
	}
	//nolint:errcheck // as above
	stream.SetReadDeadline(time.Time{})
	call := &Call{Verb: m.Verb, body: m.Body, stream: stream}
	if err := p.handled(ctx, call); err != nil && !call.answered {
		//nolint:errcheck // nobody is there to hear it
		writeMessage(stream, message{Answer: true, Code: sandbox.Code(err), Detail: detail(err)})
	}
}

func (p *Peer) handled(ctx context.Context, call *Call) error {
	if p.handle == nil {
		return fmt.Errorf("%w: nothing answers %q here", sandbox.ErrInvalid, call.Verb)
	}
	return p.handle(ctx, call)
}

// maxDetail bounds the text of an error, in bytes.
const maxDetail = 16 << 10

func detail(err error) string {
	text := err.Error()
	return text[:min(len(text), maxDetail)]
}

// Call asks the other end and waits. The answer's body goes into result unless
// that is nil.
func (p *Peer) Call(ctx context.Context, verb string, body, result any) error {
	stream, err := p.Open(ctx, verb, body, result)
	if err == nil {
		stream.Close() // the answer is here; the other end may have closed first
	}
	return err
}

// Open is Call for verbs whose answer is followed by bytes. The stream is the
// caller's; ctx counts until the answer.
func (p *Peer) Open(ctx context.Context, verb string, body, result any) (Stream, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	stream, err := p.session.OpenStream()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", verb, sandbox.ErrUnavailable, err)
	}
	stop := context.AfterFunc(ctx, func() { stream.Close() })
	err = exchange(stream, message{Verb: verb, Body: raw}, result)
	if !stop() && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		stream.Close()
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	return stream, nil
}

func exchange(stream io.ReadWriter, m message, result any) error {
	if err := writeMessage(stream, m); err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
	}
	answer, err := readMessage(stream)
	if err != nil {
		return fmt.Errorf("%w: %w", sandbox.ErrUnavailable, err)
	}
	if !answer.Answer {
		return fmt.Errorf("%w: a call where an answer is due", sandbox.ErrUnavailable)
	}
	if err := sandbox.FromCode(answer.Code, clean(answer.Detail)); err != nil {
		return err
	}
	return decode(answer.Body, result)
}
