package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/sandbox"
)

// event is one line of --json.
type event struct {
	Event   string        `json:"event"` // "started", "stdout", "stderr", "prompt", "settled", "review", "reviewed", "notice", "exit", "error"
	Run     *api.Run      `json:"run,omitempty"`
	Data    []byte        `json:"data,omitempty"` // base64
	Prompt  *api.Prompt   `json:"prompt,omitempty"`
	Review  *api.Review   `json:"review,omitempty"`
	Learned *api.Learned  `json:"learned,omitempty"`
	Text    string        `json:"text,omitempty"`
	Exit    *sandbox.Exit `json:"exit,omitempty"`
	Error   *api.Error    `json:"error,omitempty"`
}

// frame handles one frame of the agent; last ends the session with code.
func (s *session) frame(ctx context.Context, f frame) (code int, last bool, err error) {
	switch f.kind {
	case api.FrameOut:
		return 0, false, s.emit(event{Event: "stdout", Data: f.payload})
	case api.FrameErr:
		return 0, false, s.emit(event{Event: "stderr", Data: f.payload})
	case api.FrameNotice:
		return 0, false, s.noticed(string(f.payload))
	case api.FrameProgress:
		var p api.Progress
		if err := decode(f, &p); err != nil {
			return 0, false, err
		}
		s.progress.update(p)
	case api.FrameStarted:
		return s.hasStarted(f)
	case api.FramePrompt, api.FrameSettled:
		var p api.Prompt
		if err := decode(f, &p); err != nil {
			return 0, false, err
		}
		if f.kind == api.FrameSettled {
			return 0, false, s.settled(p)
		}
		return 0, false, s.prompted(ctx, p)
	case api.FrameReview, api.FrameReviewed:
		var r api.Review
		if err := decode(f, &r); err != nil {
			return 0, false, err
		}
		if f.kind == api.FrameReviewed {
			return 0, false, s.reviewed(r)
		}
		return 0, false, s.reviewing(ctx, r)
	case api.FrameExit:
		return s.hasEnded(f)
	case api.FrameError:
		return s.hasFailed(f)
	}
	return 0, false, nil // frames of a newer agent are not ours to judge
}

func decode(f frame, v any) error {
	if err := json.Unmarshal(f.payload, v); err != nil {
		return fmt.Errorf("frame %q of the agent: %w", f.kind, err)
	}
	return nil
}

// emit prints an event, if events are wanted.
func (s *session) emit(e event) error {
	if !s.JSON {
		return nil
	}
	return printLine(s.Out, e)
}

func (s *session) noticed(text string) error {
	if s.JSON {
		return s.emit(event{Event: "notice", Text: text})
	}
	s.progress.stop()
	s.say(plain(text))
	return nil
}

func (s *session) hasStarted(f frame) (int, bool, error) {
	s.progress.stop()
	if err := decode(f, &s.run); err != nil {
		return 0, false, err
	}
	s.started = true
	if s.Run != nil {
		*s.Run = s.run
	}
	s.sayPages()
	if s.ownsKeys() && s.Terminal && !s.asker.open {
		_ = s.tty.raw() // from here on the app writes
	}
	if !s.Detach {
		s.sendSize() // it may have changed during the pull
		return 0, false, s.emit(event{Event: "started", Run: &s.run})
	}
	_ = s.stream.Send(api.FrameDetach, nil) // fails only if the app has ended already
	if s.JSON {
		return 0, true, printLine(s.Out, s.run)
	}
	_, err := fmt.Fprintln(s.Out, plain(s.run.ID))
	return 0, true, err
}

// sayPages tells where the app's pages will be.
func (s *session) sayPages() {
	if s.JSON || s.Quiet {
		return
	}
	for _, p := range s.run.Ports {
		if p.URL != "" {
			s.say("the app's port " + strconv.Itoa(int(p.App)) + " is at " + plain(p.URL))
		}
	}
}

func (s *session) hasEnded(f frame) (int, bool, error) {
	var exit sandbox.Exit
	if err := decode(f, &exit); err != nil {
		return 0, false, err
	}
	s.closeQuestion()
	switch {
	case s.JSON:
		return exit.Code, true, s.emit(event{Event: "exit", Exit: &exit})
	case exit.OOM:
		s.say("the app used more memory than it may have and was ended; --memory gives it more")
	case exit.Reason != "":
		s.say("the app was ended: " + plain(exit.Reason))
	}
	return exit.Code, true, nil
}

func (s *session) hasFailed(f frame) (int, bool, error) {
	fault := &api.Error{}
	if err := decode(f, fault); err != nil {
		return 0, false, err
	}
	s.progress.stop()
	s.closeQuestion()
	if err := s.emit(event{Event: "error", Error: fault}); err != nil {
		return 0, false, err
	}
	return 0, true, fault
}

// prompted asks: by flag, as an event, on the terminal, or as a line.
func (s *session) prompted(ctx context.Context, p api.Prompt) error {
	if err := s.emit(event{Event: "prompt", Prompt: &p}); err != nil {
		return err
	}
	switch {
	case s.Answer != "":
		choice := api.Choice{Label: s.Answer + " (--answer)", Verdict: s.Answer, Lifetime: "once"}
		s.give(ctx, p, choice, "cli")
	case s.JSON:
	case s.canAsk():
		if s.asker.add(p) {
			s.showQuestion()
		} else {
			s.nextQuestion()
		}
	default:
		s.progress.stop()
		s.noted[p.ID] = p.Title
		s.say(notice(p))
	}
	return nil
}

// settled takes a question back that was answered elsewhere, or in time by nobody.
func (s *session) settled(p api.Prompt) error {
	if err := s.emit(event{Event: "settled", Prompt: &p}); err != nil {
		return err
	}
	if title, ok := s.noted[p.ID]; ok {
		delete(s.noted, p.ID)
		s.say("settled: " + plain(title))
	}
	if s.asker.settle(p.ID) && !s.answered[p.ID] {
		s.print(s.tty.f, "\n"+s.err.dim("  (no answer needed any more: "+plain(p.Title)+")")+"\n")
		s.nextQuestion()
	}
	delete(s.answered, p.ID)
	return nil
}

// answerTimeout bounds the call that carries an answer.
const answerTimeout = 10 * time.Second

// give sends an answer and says what was answered.
func (s *session) give(ctx context.Context, p api.Prompt, c api.Choice, by string) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	s.answered[p.ID] = true
	if err := s.answer(ctx, p.ID, answerOf(p, c, by)); err != nil {
		s.say("your answer did not count: " + plain(err.Error()))
		return
	}
	if !s.JSON {
		s.say(plain(p.Title) + " → " + plain(c.Label))
	}
}
