package console

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// asker names this program in answers. It is not "cli": the agent holds answers
// from buttons back for a second.
const asker = "console"

// waiting is what waits for an answer.
type waiting struct {
	Prompts []question
	Reviews []api.Review
	One     bool // the others are left out
}

// question is a prompt as its card shows it.
type question struct {
	api.Prompt
	Fields []string // of data, any of which may be given by themselves
	Allow  []choice
	Deny   []choice
}

type choice struct {
	api.Choice
	Number int // among the prompt's choices
}

func (v *view) waiting() (waiting, error) {
	prompts, err := v.cfg.Agent.Requests(v.ctx())
	if err != nil {
		return waiting{}, err
	}
	reviews, err := v.cfg.Agent.Reviews(v.ctx())
	if err != nil {
		return waiting{}, err
	}
	w := waiting{Reviews: reviews}
	for _, p := range prompts {
		w.Prompts = append(w.Prompts, cardOf(p))
	}
	// What an app waits for now comes first, else the oldest: a new one is never
	// put where the pointer may be.
	slices.SortStableFunc(w.Prompts, func(x, y question) int {
		if x.Live != y.Live {
			if x.Live {
				return -1
			}
			return 1
		}
		return x.Asked.Compare(y.Asked)
	})
	return w, nil
}

// cardOf sorts the choices of a prompt. Only a question with one target of data
// can be answered by field.
func cardOf(p api.Prompt) question {
	q := question{Prompt: p}
	if strings.HasPrefix(p.Kind, "data.") && len(p.Also) == 0 && strings.Contains(p.Target, ",") {
		q.Fields = strings.Split(p.Target, ",")
	}
	for i, c := range p.Choices {
		if c.Verdict == "allow" {
			q.Allow = append(q.Allow, choice{c, i})
		} else {
			q.Deny = append(q.Deny, choice{c, i})
		}
	}
	return q
}

func (v *view) requestsPage() error {
	w, err := v.waiting()
	if err != nil {
		return err
	}
	return v.questions(w)
}

// requestPage is that of one question.
func (v *view) requestPage() error {
	w, err := v.waiting()
	if err != nil {
		return err
	}
	id := v.r.URL.Query().Get("id")
	w.Prompts = slices.DeleteFunc(w.Prompts, func(q question) bool { return q.ID != id })
	w.Reviews, w.One = nil, true
	return v.questions(w)
}

func (v *view) questions(w waiting) error {
	v.mu.Lock()
	for _, p := range w.Prompts {
		v.session.show(p.Nonce, v.cfg.Now())
	}
	v.mu.Unlock()
	v.page(http.StatusOK, "requests", "Requests", w)
	return nil
}

// look refuses an answer to what this browser was not shown for a second.
func (v *view) look(nonce string) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if !v.session.mayAnswer(nonce, v.cfg.Now()) {
		return errEarly
	}
	return nil
}

// answer carries out the choice that was pressed.
func (v *view) answer() error {
	id, err := v.form("id")
	if err != nil {
		return err
	}
	nonce := v.r.PostFormValue("nonce")
	if err := v.look(nonce); err != nil {
		return err
	}
	prompts, err := v.cfg.Agent.Requests(v.ctx())
	if err != nil {
		return err
	}
	at := slices.IndexFunc(prompts, func(p api.Prompt) bool { return p.ID == id })
	if at < 0 {
		v.back("That question was answered elsewhere, or is over.", true)
		return nil
	}
	p := prompts[at]
	number, err := strconv.Atoi(v.r.PostFormValue("choice"))
	if err != nil || number < 0 || number >= len(p.Choices) {
		return fmt.Errorf("the question has no answer %.10q", v.r.PostFormValue("choice"))
	}
	c := p.Choices[number]
	answer := api.AnswerRequest{
		Nonce: nonce, Verdict: c.Verdict, Lifetime: c.Lifetime, For: c.For, Target: c.Target, Everything: c.Everything, Shape: c.Shape, By: asker,
	}
	if answer.Fields, err = v.fields(p, c); err != nil {
		return err
	}
	if err := v.cfg.Agent.Answer(v.ctx(), p.ID, answer); err != nil {
		return err
	}
	v.back(c.Label+": "+p.Title, false)
	return nil
}

// fields are those that were ticked, nil if they are all.
func (v *view) fields(p api.Prompt, c api.Choice) ([]string, error) {
	all := cardOf(p).Fields
	if c.Verdict != "allow" || all == nil {
		return nil, nil
	}
	ticked := v.r.PostForm["field"]
	switch len(ticked) {
	case len(all):
		return nil, nil
	case 0:
		return nil, fmt.Errorf("no field is ticked: tick what the app may know, or deny")
	}
	return ticked, nil
}

func (v *view) reviewPage() error {
	review, err := v.cfg.Agent.Review(v.ctx(), v.r.URL.Query().Get("id"))
	if err != nil {
		return err
	}
	v.mu.Lock()
	v.session.show(review.Nonce, v.cfg.Now())
	v.mu.Unlock()
	v.page(http.StatusOK, "review", "Before it starts", review)
	return nil
}

// answerReview answers a manifest: one word for all lines, and others for
// those that say so.
func (v *view) answerReview() error {
	id, err := v.form("id")
	if err != nil {
		return err
	}
	verdict, err := v.form("verdict")
	if err != nil {
		return err
	}
	answer := api.ReviewAnswer{Nonce: v.r.PostFormValue("nonce"), Verdict: verdict, Lines: map[int]string{}, By: asker}
	if err := v.look(answer.Nonce); err != nil {
		return err
	}
	for name, values := range v.r.PostForm {
		text, isLine := strings.CutPrefix(name, "line-")
		if number, err := strconv.Atoi(text); isLine && err == nil && values[0] != "" {
			answer.Lines[number] = values[0]
		}
	}
	answer.Lifetime = v.r.PostFormValue("lifetime")
	if answer.Lifetime == "time" {
		answer.For = reviewTime
	}
	if err := v.cfg.Agent.AnswerReview(v.ctx(), id, answer); err != nil {
		return err
	}
	v.back("Answered.", false)
	return nil
}

// reviewTime is how long "for a day" is.
const reviewTime = 24 * time.Hour
