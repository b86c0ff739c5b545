package ninep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"

	"github.com/consentry/consentry/sandbox"
)

// Bounds of a connection.
const (
	maxFiles  = 4096 // numbers of files that the guest may hold
	maxAsking = 16   // requests that wait for the user
	maxQueued = 16   // requests that wait for their turn
	// firstMessage bounds messages before the version is settled, in bytes.
	firstMessage = 8 << 10
)

// version is the protocol's name.
const version = "9P2000.L"

// session is one connection. One goroutine reads, one works; all but size is the
// latter's.
type session struct {
	place *Place
	conn  io.ReadWriteCloser
	size  atomic.Uint32 // of messages at most, settled by version
	queue chan *request

	files  map[uint32]*file
	actsAs identity // of the thread that works

	asking   map[uint16]*question
	asks     int // that run, flushed ones too
	answered chan *question
}

// question is a request that waits for the user.
type question struct {
	request *request
	giveUp  context.CancelFunc
	flushed bool // nobody waits for the request any more
	err     error
}

// Serve answers on conn until it ends, or ctx does. A place has one connection
// at a time. It closes conn.
func (p *Place) Serve(ctx context.Context, conn io.ReadWriteCloser) error {
	if !p.served.CompareAndSwap(false, true) {
		conn.Close()
		return fmt.Errorf("%w: the folder is served on another connection", sandbox.ErrInvalid)
	}
	defer p.served.Store(false)
	ctx, cancel := context.WithCancel(ctx)
	s := &session{
		place: p, conn: conn, queue: make(chan *request, maxQueued), files: map[uint32]*file{},
		asking: map[uint16]*question{}, answered: make(chan *question, maxAsking),
	}
	s.size.Store(firstMessage)
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	worked := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: it takes on the rights of the folder's owner
		err := s.work(ctx)
		cancel()
		worked <- err
	}()
	err := s.read(ctx)
	conn.Close()
	close(s.queue)
	workErr := <-worked
	stop()
	return errors.Join(err, workErr)
}

// read takes requests off the connection.
func (s *session) read(ctx context.Context) error {
	for {
		r, err := readRequest(s.conn, s.size.Load())
		if errors.Is(err, errMessage) {
			return err
		}
		if err != nil {
			return nil // its end
		}
		select {
		case s.queue <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// work does the requests, one after the other. At the end it lets go of all
// files, and waits for its questions.
func (s *session) work(ctx context.Context) (err error) {
	for err == nil {
		select {
		case <-ctx.Done():
			s.finish()
			return nil
		case q := <-s.answered:
			err = s.goOn(ctx, q)
		case r, more := <-s.queue:
			if !more {
				s.finish()
				return nil
			}
			err = s.serve(ctx, r)
		}
	}
	s.finish()
	if errors.Is(err, errMessage) {
		return err
	}
	return nil // what cannot be written has no reader
}

func (s *session) finish() {
	for _, q := range s.asking {
		q.giveUp()
	}
	for ; s.asks > 0; s.asks-- {
		<-s.answered
	}
	s.clunkAll()
}

func (s *session) send(w *writer) error {
	_, err := s.conn.Write(w.bytes())
	return err
}

func (s *session) refuse(r *request, e errno) error {
	w := newAnswer(tLerror+answerOffset, r.tag)
	w.u32(uint32(e))
	return s.send(w)
}

// touching is returned by a request that wants what has not been given.
type touching struct{ name string }

func (touching) Error() string { return "9P: it has to be asked for" }

// serve does one request. An error ends the connection.
func (s *session) serve(ctx context.Context, r *request) error {
	again := r.in
	w := newAnswer(r.kind+answerOffset, r.tag)
	err := s.handle(r, w)
	var touch touching
	switch {
	case err == nil:
		return s.send(w)
	case errors.Is(err, errMessage):
		return err
	case errors.As(err, &touch):
		if s.place.ask == nil || r.answered {
			return s.refuse(r, eAccess)
		}
		r.in = again
		return s.ask(ctx, r, touch.name)
	}
	return s.refuse(r, errnoOf(err))
}

// ask has the user asked, aside.
func (s *session) ask(ctx context.Context, r *request, name string) error {
	if s.asks == maxAsking || s.asking[r.tag] != nil {
		return s.refuse(r, eAgain)
	}
	ctx, giveUp := context.WithCancel(ctx)
	q := &question{request: r, giveUp: giveUp}
	s.asking[r.tag] = q
	s.asks++
	go func() {
		q.err = s.place.ask(ctx, name)
		s.answered <- q // it has room for all
	}()
	return nil
}

// goOn does what the user was asked about.
func (s *session) goOn(ctx context.Context, q *question) error {
	s.asks--
	q.giveUp()
	if q.flushed {
		return nil
	}
	delete(s.asking, q.request.tag)
	if q.err != nil {
		return s.refuse(q.request, refusal(q.err))
	}
	q.request.answered = true
	return s.serve(ctx, q.request)
}

// flush gives up a request that waits for the user, as the process that made it
// was killed: after its answer nothing of that tag may come. All others came
// before this one, and have been answered.
func (s *session) flush(r *request) error {
	old := r.in.u16()
	if err := r.in.done(); err != nil {
		return err
	}
	s.abandon(old)
	return nil
}

// abandon gives up what waits for the user.
func (s *session) abandon(tag uint16) {
	if q := s.asking[tag]; q != nil {
		q.flushed = true
		q.giveUp()
		delete(s.asking, tag)
	}
}
