package cli

import (
	"context"
	"strings"

	"github.com/consentry/consentry/agent/api"
)

// reviewCalls are what a session needs of the agent for reviews.
type reviewCalls interface {
	Review(context.Context, string) (api.Review, error)
	AnswerReview(context.Context, string, api.ReviewAnswer) error
}

// reviewing shows a manifest that waits for an answer: by flag, as an event, on
// the terminal, or as a line.
func (s *session) reviewing(ctx context.Context, head api.Review) error {
	call, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	full, err := s.reviews.Review(call, head.ID)
	if err != nil {
		return err
	}
	s.progress.stop()
	if err := s.emit(event{Event: "review", Review: &full}); err != nil {
		return err
	}
	switch {
	case s.Answer != "":
		answer := api.ReviewAnswer{Nonce: full.Nonce, Verdict: s.Answer, By: "cli"}
		if !s.Lasting { // of a run, --answer leaves nothing behind, as with other questions
			answer.Lifetime = "run"
		}
		s.giveReview(ctx, full, answer)
	case s.JSON:
	case s.canAsk():
		s.reviewer = &reviewer{review: full, chosen: map[int]string{}}
		s.asker.add(s.reviewer.wholePrompt())
		s.nextQuestion()
	default:
		s.say(reviewNotice(full))
	}
	return nil
}

func reviewNotice(r api.Review) string {
	return "before " + plain(r.App) + " starts, it asks for " + plural(len(r.Lines), "right") + "; see them with: consentry review " + plain(r.ID) +
		"; answer with: consentry review " + plain(r.ID) + " --allow, or --deny, or --ask"
}

// reviewed takes the review off the screen: it was answered, here or elsewhere.
func (s *session) reviewed(head api.Review) error {
	if err := s.emit(event{Event: "reviewed", Review: &head}); err != nil {
		return err
	}
	if s.reviewer == nil {
		return nil
	}
	s.reviewer = nil
	shown := false
	for _, p := range append([]api.Prompt{}, s.asker.queue...) {
		if isReview(p) {
			shown = s.asker.settle(p.ID) || shown
		}
	}
	if shown {
		s.print(s.tty.f, "\n"+s.err.dim("  (answered elsewhere)")+"\n")
	}
	s.nextQuestion()
	return nil
}

func isReview(p api.Prompt) bool { return strings.HasPrefix(p.ID, reviewPrefix) }

// chose takes what was chosen for a question of the review.
func (s *session) chose(ctx context.Context, p api.Prompt, c api.Choice) {
	if s.reviewer == nil {
		return
	}
	more, answer := s.reviewer.choose(p.ID, c.Verdict)
	for _, next := range more {
		s.asker.add(next)
	}
	if answer == nil {
		return
	}
	full := s.reviewer.review
	s.reviewer = nil
	s.giveReview(ctx, full, *answer)
}

func (s *session) giveReview(ctx context.Context, r api.Review, a api.ReviewAnswer) {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := s.reviews.AnswerReview(ctx, r.ID, a); err != nil {
		s.say("your answer did not count: " + plain(err.Error()))
		return
	}
	if !s.JSON {
		s.say("the rights of " + plain(r.App) + " → " + answeredWords(r, a))
	}
}

// answeredWords sum an answer up for people.
func answeredWords(r api.Review, a api.ReviewAnswer) string {
	counts := map[string]int{}
	for _, l := range r.Lines {
		counts[orElse(a.Lines[l.Number], a.Verdict)]++
	}
	var words []string
	for _, w := range [][2]string{{"allow", "allowed"}, {"deny", "denied"}, {"ask", "left to be asked about"}, {"stop", "not started"}} {
		if n := counts[w[0]]; n > 0 {
			words = append(words, plural(n, "line")+" "+w[1])
		}
	}
	text := strings.Join(words, ", ")
	if a.Lifetime == "run" {
		text += ", until the app exits"
	}
	return text
}
