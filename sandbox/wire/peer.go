// Package wire lets two processes of one app run call each other: the agent
// and a worker, the agent and a launcher. Calls go both ways over one fdwire
// connection and may carry open files.
//
//	caller                                   callee
//	  | {id, verb, body} + files               |
//	  | -------------------------------------> | more than maxCalls open: connection is over
//	  | {id, cancel}     (context ended)       |
//	  | -------------------------------------> | the handler's context ends
//	  | {id, answer, body | code, detail}      |
//	  | <------------------------------------- | + files
//
// A call that got no answer when the connection ended fails with
// sandbox.ErrUnavailable: a lost peer is never a yes.
package wire

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"sync"

	"github.com/consentry/consentry/internal/crew"
	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/sandbox"
)

// maxCalls bounds the calls that the other side may have open: more than the
// connections into an app, each of which is one.
const maxCalls = 16384

type message struct {
	ID     uint64          `json:"id"`
	Verb   string          `json:"verb,omitempty"`
	Body   json.RawMessage `json:"body,omitempty"`
	Answer bool            `json:"answer,omitempty"`
	Cancel bool            `json:"cancel,omitempty"`
	Code   string          `json:"code,omitempty"`
	Detail string          `json:"detail,omitempty"`
}

// Reply is what a handler answers. Files are closed after they were sent.
type Reply struct {
	Body  any
	Files []*os.File
}

// Handler serves one call. It owns files. The error's sandbox.Code and text
// reach the caller.
type Handler func(ctx context.Context, verb string, body json.RawMessage, files []*os.File) (Reply, error)

// Peer is one end. Make it with New, then Serve in a goroutine of its own.
type Peer struct {
	conn   *fdwire.Conn
	handle Handler

	mu      sync.Mutex
	lastID  uint64
	waiting map[uint64]chan answer        // calls of ours
	serving map[uint64]context.CancelFunc // calls of theirs
	told    int                           // what they told us and we are still busy with
	gone    error
}

type answer struct {
	message
	files []*os.File
}

// New returns a peer that answers calls with handle; nil refuses them all.
func New(conn *fdwire.Conn, handle Handler) *Peer {
	if handle == nil {
		handle = func(_ context.Context, verb string, _ json.RawMessage, files []*os.File) (Reply, error) {
			fdwire.CloseAll(files)
			return Reply{}, fmt.Errorf("%w: nothing answers %q here", sandbox.ErrInvalid, verb)
		}
	}
	return &Peer{
		conn:    conn,
		handle:  handle,
		waiting: map[uint64]chan answer{},
		serving: map[uint64]context.CancelFunc{},
	}
}

// Close ends the connection and so Serve on both sides.
func (p *Peer) Close() error { return p.conn.Close() }

// Serve reads until the connection ends, and returns once every handler has
// returned. It returns io.EOF when the other side hung up.
func (p *Peer) Serve(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var handlers crew.Crew
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	err := p.read(ctx, &handlers)
	stop()
	cancel()
	p.conn.Close()
	p.abandon(err)
	handlers.End()
	return err
}

func (p *Peer) read(ctx context.Context, handlers *crew.Crew) error {
	for {
		var m message
		files, err := p.conn.Recv(&m)
		if err != nil {
			return err
		}
		switch {
		case m.Answer:
			p.deliver(answer{m, files})
		case m.Cancel:
			fdwire.CloseAll(files)
			p.cancel(m.ID)
		case m.ID == 0:
			p.hear(ctx, m, files, handlers)
		default:
			p.accept(ctx, m, files, handlers)
		}
	}
}

func (p *Peer) deliver(a answer) {
	p.mu.Lock()
	reply := p.waiting[a.ID]
	delete(p.waiting, a.ID)
	p.mu.Unlock()
	if reply == nil { // its caller gave up
		fdwire.CloseAll(a.files)
		return
	}
	reply <- a
}

func (p *Peer) cancel(id uint64) {
	p.mu.Lock()
	cancel := p.serving[id]
	p.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

func (p *Peer) accept(ctx context.Context, m message, files []*os.File, handlers *crew.Crew) {
	ctx, cancel := context.WithCancel(ctx)
	p.mu.Lock()
	_, twice := p.serving[m.ID]
	full := len(p.serving) >= maxCalls
	if !twice && !full {
		p.serving[m.ID] = cancel
	}
	p.mu.Unlock()
	if twice || full {
		cancel()
		fdwire.CloseAll(files)
		p.conn.Close()
		return
	}
	handlers.Run(func() {
		defer cancel()
		reply, err := p.handle(ctx, m.Verb, m.Body, files)
		p.mu.Lock()
		delete(p.serving, m.ID)
		p.mu.Unlock()
		p.answer(m.ID, reply, err)
	})
}

// hear is accept for what wants no answer.
func (p *Peer) hear(ctx context.Context, m message, files []*os.File, handlers *crew.Crew) {
	p.mu.Lock()
	p.told++
	full := p.told > maxCalls
	p.mu.Unlock()
	if full {
		fdwire.CloseAll(files)
		p.conn.Close()
		return
	}
	handlers.Run(func() {
		//nolint:errcheck // nobody waits to hear of it
		reply, _ := p.handle(ctx, m.Verb, m.Body, files)
		fdwire.CloseAll(reply.Files)
		p.mu.Lock()
		p.told--
		p.mu.Unlock()
	})
}

func (p *Peer) answer(id uint64, reply Reply, err error) {
	defer fdwire.CloseAll(reply.Files)
	files := reply.Files
	m := message{ID: id, Answer: true}
	if err == nil && reply.Body != nil {
		m.Body, err = json.Marshal(reply.Body)
	}
	if err != nil {
		m.Code, m.Detail, m.Body = sandbox.Code(err), err.Error(), nil
		files = nil
	}
	if err := p.conn.Send(m, files...); err != nil {
		p.conn.Close() // the caller must not wait for an answer that was lost
	}
}

// Call asks the other side and waits. The answer's body goes into result
// unless that is nil; returned files are the caller's. Attached files stay the
// caller's too.
func (p *Peer) Call(ctx context.Context, verb string, body, result any, files ...*os.File) ([]*os.File, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	id, reply, err := p.register()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", verb, err)
	}
	if err := p.conn.Send(message{ID: id, Verb: verb, Body: raw}, files...); err != nil {
		p.forget(id)
		return nil, fmt.Errorf("%s: %w: %w", verb, sandbox.ErrUnavailable, err)
	}
	select {
	case a := <-reply:
		return finish(a, result)
	case <-ctx.Done():
		if p.forget(id) {
			//nolint:errcheck // a broken connection cancels by itself
			p.conn.Send(message{ID: id, Cancel: true})
			return nil, ctx.Err()
		}
		return finish(<-reply, result) // it arrived at the same moment
	}
}

// Tell says something that needs no answer. An error means that the connection
// has ended.
func (p *Peer) Tell(verb string, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return fmt.Errorf("%s: %w", verb, err)
	}
	if err := p.conn.Send(message{Verb: verb, Body: raw}); err != nil {
		return fmt.Errorf("%s: %w: %w", verb, sandbox.ErrUnavailable, err)
	}
	return nil
}

func finish(a answer, result any) ([]*os.File, error) {
	if err := sandbox.FromCode(a.Code, a.Detail); err != nil {
		fdwire.CloseAll(a.files)
		return nil, err
	}
	if result != nil {
		if err := json.Unmarshal(a.Body, result); err != nil {
			fdwire.CloseAll(a.files)
			return nil, fmt.Errorf("answer: %w", err)
		}
	}
	return a.files, nil
}

func (p *Peer) register() (uint64, chan answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != nil {
		return 0, nil, fmt.Errorf("%w: %w", sandbox.ErrUnavailable, p.gone)
	}
	p.lastID++
	reply := make(chan answer, 1)
	p.waiting[p.lastID] = reply
	return p.lastID, reply, nil
}

func (p *Peer) forget(id uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, waiting := p.waiting[id]
	delete(p.waiting, id)
	return waiting
}

// abandon fails every open call of ours.
func (p *Peer) abandon(cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = cause
	for id, reply := range p.waiting {
		reply <- answer{message: message{ID: id, Code: "unavailable", Detail: "the other process has gone"}}
	}
	clear(p.waiting)
}
