package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// openInput starts reading what the app is to get.
func (s *session) openInput() error {
	if !s.Stdin {
		return nil
	}
	in, err := readInput(s.In)
	if err != nil {
		return fmt.Errorf("read standard input: %w", err)
	}
	s.in = in
	if t, err := newTerminal(s.In); err == nil {
		s.tty = t
		if s.Terminal {
			return t.keysOnly()
		}
	}
	return nil
}

// ownsKeys says that the keyboard is the app's input.
func (s *session) ownsKeys() bool { return s.Stdin && s.tty != nil && s.tty.f == s.In }

// keysWanted is the input, unless the agent has not taken the last of it yet.
// A question is answered from it even then.
func (s *session) keysWanted() <-chan []byte {
	if s.in == nil || s.waiting != nil && (!s.asker.open || !s.ownsKeys()) {
		return nil
	}
	return s.in.chunks
}

func (s *session) besideWanted() <-chan []byte {
	if s.beside == nil {
		return nil
	}
	return s.beside.chunks
}

// key takes bytes from our input: for the question on the screen, or the app.
func (s *session) key(ctx context.Context, chunk []byte, more bool) {
	switch {
	case !more:
		s.in.stop()
		s.in = nil
		s.forward(api.FrameClose, nil)
	case !s.started && s.Terminal && s.ownsKeys() && bytes.IndexByte(chunk, ctrlC) >= 0:
		s.cancelled = true
	case s.asker.open && s.ownsKeys():
		if s.Terminal && bytes.IndexByte(chunk, ctrlC) >= 0 {
			s.forward(api.FrameIn, []byte{ctrlC}) // Ctrl-C is the app's, also while we ask
		}
		s.answerKey(ctx, chunk)
	default:
		if s.Terminal && s.ownsKeys() {
			chunk = s.leave.filter(chunk)
		}
		if len(chunk) > 0 {
			s.forward(api.FrameIn, chunk)
		}
	}
}

// forward leaves input for the loop to send.
func (s *session) forward(kind api.FrameType, chunk []byte) {
	if s.waiting != nil {
		if room := api.MaxFrame - len(s.waiting.payload); kind == api.FrameIn && s.waiting.kind == api.FrameIn && len(chunk) <= room {
			s.waiting.payload = append(s.waiting.payload, chunk...)
		}
		return
	}
	s.waiting = &outgoing{kind, chunk}
}

// besideKey takes bytes from the terminal that is not the app's input.
func (s *session) besideKey(ctx context.Context, chunk []byte, more bool) {
	if !more { // the terminal is gone; the question stays in the inbox
		s.stopBeside()
		return
	}
	s.answerKey(ctx, chunk)
}

func (s *session) answerKey(ctx context.Context, chunk []byte) {
	p, open := s.asker.current()
	if !open {
		return
	}
	echo, choice := s.asker.typed(chunk)
	s.print(s.tty.f, echo)
	if choice == nil {
		return
	}
	s.asker.settle(p.ID)
	if isReview(p) {
		s.chose(ctx, p, *choice)
	} else {
		s.giveBack()
		s.give(ctx, p, *choice, byTerminal)
	}
	s.nextQuestion()
}

// canAsk says whether a question can be put on a terminal, and opens it.
func (s *session) canAsk() bool {
	if s.tty != nil {
		return true
	}
	open := s.OpenTerminal
	if open == nil {
		open = openTerminal
	}
	f, err := open()
	if err != nil {
		return false
	}
	t, err := newTerminal(f)
	if err != nil {
		_ = f.Close()
		return false
	}
	s.tty = t
	return true
}

// nextQuestion puts the next question on the screen, or gives the terminal back.
func (s *session) nextQuestion() {
	if s.asker.open {
		return
	}
	if len(s.asker.queue) == 0 {
		s.giveBack()
		return
	}
	s.progress.stop()
	s.gate.hold()
	if err := s.takeKeys(); err != nil {
		p := s.asker.queue[0]
		s.asker.settle(p.ID)
		s.giveBack()
		s.noted[p.ID] = p.Title
		s.say(notice(p))
		return
	}
	s.showQuestion()
}

// showQuestion puts the first question on the screen, where it is dead at first.
func (s *session) showQuestion() {
	p := s.asker.show()
	if s.Terminal {
		// Undo what the app may have left: shift-out, another character set,
		// hidden colours, a hidden cursor.
		s.print(s.tty.f, "\x0f\x1b(B\x1b[0m\x1b[?25h")
	}
	s.print(s.tty.f, s.cardOf(p))
	s.ripe = time.After(deadTime)
}

// cardOf is the question as it stands on the screen.
func (s *session) cardOf(p api.Prompt) string {
	if s.reviewer != nil && isReview(p) {
		return s.reviewer.card(p, s.err)
	}
	return card(p, s.err)
}

// takeKeys puts the terminal into the mode for a question and reads from it.
func (s *session) takeKeys() error {
	if err := s.tty.asking(s.Terminal && s.ownsKeys()); err != nil {
		return err
	}
	if s.ownsKeys() && s.in != nil || s.beside != nil {
		return nil
	}
	in, err := readInput(s.tty.f)
	if err == nil {
		s.beside = in
	}
	return err
}

func (s *session) stopBeside() {
	if s.beside != nil {
		s.beside.stop()
		s.beside = nil
	}
}

// giveBack returns the terminal to the app.
func (s *session) giveBack() {
	s.ripe = nil
	if s.tty == nil {
		return
	}
	s.stopBeside()
	switch {
	case !s.ownsKeys() || !s.Terminal:
		s.tty.restore()
	case s.started:
		_ = s.tty.raw()
	default:
		_ = s.tty.keysOnly()
	}
	s.gate.release()
}

// closeQuestion takes the question away because the app has ended.
func (s *session) closeQuestion() {
	if p, ok := s.asker.current(); ok {
		s.print(s.tty.f, "\n"+s.err.dim("  (the app has ended: "+plain(p.Title)+")")+"\n")
	}
	s.asker = asker{}
	s.giveBack()
}

// print writes text of ours; a raw terminal needs its carriage returns.
func (s *session) print(w io.Writer, text string) {
	if s.ownsKeys() && s.Terminal {
		text = strings.ReplaceAll(text, "\n", "\r\n")
	}
	_, _ = io.WriteString(w, text)
}

// signal passes a signal on; before the app runs it ends the session instead.
func (s *session) signal(sig os.Signal) (goOn bool) {
	if !s.started {
		return false
	}
	number := forwarded[sig]
	s.post(api.FrameSignal, api.KillRequest{Signal: number})
	if number == 2 {
		s.interrupts++
		if s.interrupts == 3 {
			s.say("the app goes on after three interrupts; consentry kill " + s.ref() + " ends it")
		}
	}
	return true
}

func isBrokenPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }

// detachKeys finds Ctrl-P Ctrl-Q, docker's way to leave an app running.
type detachKeys struct {
	begun bool
	left  bool
}

const (
	ctrlC = 0x03
	ctrlP = 0x10
	ctrlQ = 0x11
)

// filter returns what the app gets; a Ctrl-P waits for the key after it.
func (d *detachKeys) filter(keys []byte) []byte {
	out := make([]byte, 0, len(keys)+1)
	for _, b := range keys {
		if d.begun {
			d.begun = false
			if b == ctrlQ {
				d.left = true
				return out
			}
			out = append(out, ctrlP)
		}
		if b == ctrlP {
			d.begun = true
			continue
		}
		out = append(out, b)
	}
	return out
}
