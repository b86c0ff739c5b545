package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/sandbox"
)

// mode is how a session uses this terminal.
type mode struct {
	Stdin    bool     // our input is the app's
	Terminal bool     // the app has a terminal of its own
	Detach   bool     // leave as soon as it has started
	JSON     bool     // events instead of output
	Quiet    bool     // no progress
	Answer   string   // "allow" or "deny": the answer to every prompt
	Lasting  bool     // Answer is for a manifest, from now on
	Run      *api.Run // takes the run when it has started; may be nil
	Name     string   // of the run, for advice; "" until it has started
}

// session carries one stream between the agent and this process: one loop
// decides, one goroutine reads frames, one writes them, one reads the input.
//
//	stream ──read──► output ─► gate ─► stdout, stderr
//	          └─────► events ─┐
//	input ────────────────────┼─► loop ─► write ─► stream
//	signals, resizes ─────────┘     └─► answers (a call of its own)
type session struct {
	*cli
	mode
	stream  *client.Stream
	answer  func(context.Context, string, api.AnswerRequest) error
	reviews reviewCalls

	gate     *gate
	appOut   io.Writer
	appErr   io.Writer
	flush    []func()
	progress progress

	in       *input    // our stdin, if the app gets it
	beside   *input    // the terminal while it asks, if it is not our stdin
	tty      *terminal // our stdin, or the one questions are put on
	asker    asker
	reviewer *reviewer         // while a manifest is on the screen
	noted    map[string]string // id → title of prompts that were printed as a line
	answered map[string]bool   // prompts that were answered here
	ripe     <-chan time.Time

	frames  chan frame
	handled chan struct{} // one for each frame
	broken  chan error
	outbox  chan outgoing
	control chan outgoing
	waiting *outgoing // input that the agent has not taken yet
	quit    chan struct{}
	work    sync.WaitGroup

	run        api.Run
	started    bool
	leave      detachKeys
	cancelled  bool // Ctrl-C before the app runs, on a terminal that sends no signal for it
	interrupts int
}

type frame struct {
	kind    api.FrameType
	payload []byte
}

type outgoing frame

// converse runs a stream to its end and returns the exit code of the app.
func (c *cli) converse(ctx context.Context, cl *client.Client, stream *client.Stream, m mode) (int, error) {
	s := &session{
		cli: c, mode: m, stream: stream, answer: cl.Answer, reviews: cl,
		gate: newGate(), progress: c.progressOn(m.Quiet || m.JSON),
		noted: map[string]string{}, answered: map[string]bool{},
		frames: make(chan frame), handled: make(chan struct{}), broken: make(chan error, 1),
		outbox: make(chan outgoing), control: make(chan outgoing, 32), quit: make(chan struct{}),
	}
	s.appOut, s.appErr = s.output(c.Out, c.out), s.output(c.Err, c.err)
	return s.converse(ctx)
}

// output is the way of the app's bytes to one of our streams.
func (s *session) output(f *os.File, st style) io.Writer {
	if !st.terminal {
		return f
	}
	w := s.gate.through(f)
	if s.Terminal {
		return w
	}
	clean := &cleaner{w: w}
	s.flush = append(s.flush, clean.flush)
	return clean
}

func (s *session) converse(ctx context.Context) (int, error) {
	signals, resized, release := takeSignals()
	defer release()
	defer s.end()
	s.spawn(s.readFrames)
	s.spawn(s.writeFrames)
	if err := s.openInput(); err != nil {
		return 0, err
	}
	for {
		var outbox chan<- outgoing
		var next outgoing
		if s.waiting != nil {
			outbox, next = s.outbox, *s.waiting
		}
		select {
		case f := <-s.frames:
			if code, last, err := s.frame(ctx, f); isBrokenPipe(err) {
				return exitBrokenPipe, nil
			} else if last || err != nil {
				return code, err
			}
			s.handled <- struct{}{}
		case err := <-s.broken:
			return s.brokenOff(err)
		case chunk, more := <-s.keysWanted():
			s.key(ctx, chunk, more)
		case chunk, more := <-s.besideWanted():
			s.besideKey(ctx, chunk, more)
		case outbox <- next:
			s.waiting = nil
		case sig := <-signals:
			if !s.signal(sig) {
				return exitInterrupted, nil
			}
		case <-resized:
			s.sendSize()
		case <-s.ripe:
			s.ripe = nil
			s.print(s.tty.f, s.asker.wake())
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		if s.cancelled {
			return exitInterrupted, nil
		}
		if s.leave.left {
			_ = s.stream.Send(api.FrameDetach, nil)
			s.say("detached; consentry attach " + s.ref() + " joins again")
			return 0, nil
		}
	}
}

// spawn starts a goroutine that end waits for, and that puts the terminal back
// should it panic.
func (s *session) spawn(f func()) {
	s.work.Add(1)
	go func() {
		defer s.work.Done()
		defer s.rescue()
		f()
	}()
}

func (s *session) rescue() {
	if r := recover(); r != nil {
		if s.tty != nil {
			s.tty.restore()
		}
		panic(r)
	}
}

// end puts everything back and waits for the goroutines.
func (s *session) end() {
	if s.tty != nil {
		s.tty.restore()
	}
	s.gate.release()
	s.progress.stop()
	if s.in != nil {
		s.in.stop()
	}
	s.stopBeside()
	close(s.quit)
	_ = s.stream.Close()
	s.work.Wait()
	for _, flush := range s.flush {
		flush()
	}
	if s.tty != nil && s.tty.f != s.In {
		_ = s.tty.f.Close()
	}
}

func (s *session) readFrames() {
	for {
		kind, payload, err := s.stream.Next()
		switch {
		case err != nil:
		case kind == api.FrameOut && !s.JSON:
			_, err = s.appOut.Write(payload)
		case kind == api.FrameErr && !s.JSON:
			_, err = s.appErr.Write(payload)
		default:
			if !s.deliver(frame{kind, append([]byte(nil), payload...)}) {
				return
			}
		}
		if err != nil {
			s.broken <- err
			return
		}
	}
}

// deliver hands a frame to the loop and waits until it is dealt with: output
// that comes after a question must find the gate closed.
func (s *session) deliver(f frame) bool {
	select {
	case s.frames <- f:
	case <-s.quit:
		return false
	}
	select {
	case <-s.handled:
		return true
	case <-s.quit:
		return false
	}
}

func (s *session) writeFrames() {
	for {
		var f outgoing
		select {
		case f = <-s.control:
		case f = <-s.outbox:
		case <-s.quit:
			return
		}
		// An error shows on the reading side, with the agent's last words before it.
		_ = s.stream.Send(f.kind, f.payload)
	}
}

// post queues a frame that must not wait behind input.
func (s *session) post(kind api.FrameType, v any) {
	payload, err := json.Marshal(v)
	if err != nil {
		return
	}
	select {
	case s.control <- outgoing{kind, payload}:
	default: // the agent has not read 32 of them
	}
}

// brokenOff explains the end of a stream without a last word.
func (s *session) brokenOff(err error) (int, error) {
	if isBrokenPipe(err) {
		return exitBrokenPipe, nil
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the agent ended the connection and did not say how the app ended")
	} else {
		err = fmt.Errorf("connection to the agent: %w", err)
	}
	hint := "consentry ps -a shows what became of it"
	if p, perr := s.paths(); perr == nil {
		hint += "; the agent's log is " + p.Log()
	}
	return 0, hinted(hint, err)
}

func (s *session) sendSize() {
	if size, ok := windowSize(s.Out, s.In); ok && s.Terminal {
		s.post(api.FrameSize, size)
	}
}

// windowSize is that of the first of files that is a terminal.
func windowSize(files ...*os.File) (sandbox.WindowSize, bool) {
	for _, f := range files {
		if cols, rows, err := term.GetSize(int(f.Fd())); err == nil {
			return sandbox.WindowSize{Rows: uint16(rows), Cols: uint16(cols)}, true //nolint:gosec // the kernel's are 16 bits
		}
	}
	return sandbox.WindowSize{}, false
}

// ref is how the user can name the run.
func (s *session) ref() string {
	switch {
	case s.run.Name != "":
		return plain(s.run.Name)
	case s.run.ID != "":
		return plain(s.run.ID)
	}
	return plain(s.Name)
}

// say prints a line of ours beside the output of the app.
func (s *session) say(line string) {
	s.print(s.gate.over(s.Err), s.err.dim("consentry: "+line)+"\n")
}
