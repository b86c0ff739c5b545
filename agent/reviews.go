package agent

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"slices"
	"sync"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/review"
	"github.com/consentry/consentry/app"
	"github.com/consentry/consentry/consent"
)

// maxReviews bounds the runs that wait for a review at once.
const maxReviews = 64

// reviews are the manifests that wait for an answer. None of it is kept over a
// start of the agent: the client that waits is gone then.
type reviews struct {
	records *review.Records

	answering sync.Mutex // one answer at a time

	mu   sync.Mutex
	open map[string]*openReview
}

// openReview is one run that does not start before its review was answered.
type openReview struct {
	shown api.Review
	app   app.App
	run   string
	lines []review.Line // all of the manifest
	items []review.Item // those that need an answer
	done  chan struct{} // closed when answered
	stop  bool          // the answer was: start nothing
}

func openReviews(dir string) (*reviews, error) {
	records, err := review.OpenRecords(dir)
	if err != nil {
		return nil, err
	}
	return &reviews{records: records, open: map[string]*openReview{}}, nil
}

func (d *reviews) list() []*openReview {
	d.mu.Lock()
	defer d.mu.Unlock()
	list := make([]*openReview, 0, len(d.open))
	for _, o := range d.open {
		list = append(list, o)
	}
	slices.SortFunc(list, func(x, y *openReview) int { return x.shown.Asked.Compare(y.shown.Asked) })
	return list
}

func (d *reviews) find(id string) *openReview {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.open[id]
}

func (d *reviews) add(o *openReview) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.open) >= maxReviews {
		return &api.Error{
			Code: "too-many", Message: fmt.Sprintf("%d apps wait for a review of their manifests already", maxReviews),
			Hint: "answer some of them: consentry review", Status: statusConflict,
		}
	}
	d.open[o.shown.ID] = o
	return nil
}

func (d *reviews) remove(o *openReview) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.open, o.shown.ID)
}

// others are those that wait for the same answer: the same app with the same lines.
func (d *reviews) others(than *openReview) []*openReview {
	d.mu.Lock()
	defer d.mu.Unlock()
	var same []*openReview
	for _, o := range d.open {
		if o != than && o.app.ID() == than.app.ID() && slices.Equal(o.lines, than.lines) {
			same = append(same, o)
		}
	}
	return same
}

// reviewed returns when the user has been asked about every line of the app's
// manifest, or an error if the app must not start. With again all lines are
// shown once more.
func (a *Agent) reviewed(ctx context.Context, rec *record, s *stream, again bool) error {
	lines, err := review.Lines(rec.App.Manifest)
	if err != nil {
		return invalid("%v", err)
	}
	if rec.Request.NoInput || rec.Request.Learn {
		return nil // nothing is asked, so nothing is granted and nothing counts as reviewed
	}
	before, known := a.reviews.records.Load(rec.App.ID())
	if again {
		before = review.Record{}
	}
	items := review.Compare(before.Lines, lines)
	if len(review.Open(items)) > 0 {
		return a.awaitReview(ctx, a.newReview(rec, lines, items, known && !again), s)
	}
	if known && !slices.Equal(before.Lines, lines) { // narrower: to ask for it again is to ask for more
		return a.reviews.records.Save(a.reviewRecord(rec.App, lines))
	}
	return nil
}

func (a *Agent) reviewRecord(which app.App, lines []review.Line) review.Record {
	return review.Record{App: which.ID(), Name: which.Name, Digest: which.Digest, Lines: lines, Reviewed: a.cfg.Now()}
}

func (a *Agent) newReview(rec *record, lines []review.Line, items []review.Item, update bool) *openReview {
	open := review.Open(items)
	o := &openReview{app: rec.App, run: rec.ID, lines: lines, items: open, done: make(chan struct{})}
	o.shown = api.Review{
		ID: newID()[:8], Nonce: rand.Text(), Asked: a.cfg.Now(), App: consent.CleanName(rec.App.Name),
		AppID: string(rec.App.ID()), Publisher: rec.App.Publisher, Digest: rec.App.Digest, Source: rec.Source,
		SaysName: consent.CleanText(rec.App.Manifest.Name), Update: update, Kept: len(items) - len(open),
		Replaces: a.replaced(rec.App), OwnExec: rec.App.Format == app.Image && rec.App.Manifest.Exec == app.ExecImage,
	}
	rules := a.engine.Rules(rec.App.ID())
	for i, item := range open {
		o.shown.Lines = append(o.shown.Lines, reviewLine(i+1, item, rules))
	}
	if rec.App.Format != app.Image {
		return o // only an image has a network card to publish ports of
	}
	for _, p := range rec.App.Manifest.Ports {
		o.shown.Ports = append(o.shown.Ports, api.ReviewPort{Port: p.Port, Label: consent.CleanText(p.Label), HTTP: p.HTTP})
	}
	return o
}

func reviewLine(number int, item review.Item, rules []consent.Rule) api.ReviewLine {
	line := api.ReviewLine{
		Number: number, Kind: string(item.Kind), Target: item.Target, Title: item.Title(),
		Reason: item.Reason, Without: item.Without, Change: string(item.Change), Was: item.Was,
	}
	for _, rule := range rules {
		if rule.Run == "" && rule.Kind == item.Kind && consent.Covers(rule.Kind, rule.Target, item.Target) {
			line.Rule = verdictText(rule.Verdict)
		}
	}
	return line
}

// replaced is the app of the same name that was given something last, if this
// one has nobody who vouches for it and holds nothing yet.
func (a *Agent) replaced(which app.App) *api.ReplacedApp {
	if which.Publisher != "" || len(a.given(which.ID())) > 0 {
		return nil
	}
	name := consent.CleanName(which.Name)
	var last app.ID
	for _, rule := range a.given("") {
		if rule.AppName == name && rule.Lifetime != consent.Run {
			last = rule.App
		}
	}
	if last == "" {
		return nil
	}
	return &api.ReplacedApp{AppID: string(last), Grants: rulesToAPI(a.given(last))}
}

// awaitReview shows the review to whoever can answer, and waits.
func (a *Agent) awaitReview(ctx context.Context, o *openReview, s *stream) error {
	if err := a.reviews.add(o); err != nil {
		return err
	}
	a.bell.ring(api.News{Reviews: true})
	defer func() {
		a.reviews.remove(o)
		a.bell.ring(api.News{Reviews: true})
	}()
	if err := s.json(api.FrameReview, o.head()); err != nil {
		return err
	}
	select {
	case <-o.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.json(api.FrameReviewed, o.head()); err != nil {
		return err
	}
	if o.stop {
		return &api.Error{
			Code: "declined", Message: "the manifest of " + o.shown.App + " was declined; nothing was started and nothing was kept",
			Status: statusConflict,
		}
	}
	return nil
}

func (o *openReview) head() api.Review {
	head := o.shown
	head.Lines, head.Replaces = nil, nil
	return head
}

// answerTo carries out what the user said. It is on disk when answerTo returns nil.
func (a *Agent) answerTo(ctx context.Context, id string, req api.ReviewAnswer) error {
	a.reviews.answering.Lock()
	defer a.reviews.answering.Unlock()
	o := a.reviews.find(id)
	if o == nil {
		return &api.Error{
			Code: "not-found", Message: fmt.Sprintf("no review %.40q waits for an answer", id),
			Hint: "see what waits with: consentry review", Status: statusNotFound,
		}
	}
	if subtle.ConstantTimeCompare([]byte(req.Nonce), []byte(o.shown.Nonce)) != 1 {
		return fmt.Errorf("review %s: %w", id, consent.ErrStaleNonce)
	}
	if req.Verdict == reviewStop {
		o.settle(true)
		a.reviews.remove(o)
		return a.noteReview(o, "stopped: nothing was started", req.By)
	}
	if err := a.carryOut(ctx, o, req); err != nil {
		return err
	}
	o.settle(false)
	a.reviews.remove(o)
	if consent.Lifetime(req.Lifetime) != consent.Run {
		for _, other := range a.reviews.others(o) {
			other.settle(false)
			a.reviews.remove(other)
		}
	}
	return nil
}

// reviewStop is the verdict that starts nothing.
const reviewStop = "stop"

func (o *openReview) settle(stop bool) {
	o.stop = stop
	close(o.done)
}

// carryOut gives the rules first, then remembers the review: between the two a
// crash only leads to the same questions again.
func (a *Agent) carryOut(ctx context.Context, o *openReview, req api.ReviewAnswer) error {
	answer, err := reviewAnswer(req, o.run)
	if err != nil {
		return err
	}
	words, err := answer.Words(len(o.items))
	if err != nil {
		return invalid("%v", err)
	}
	base := consent.Rule{App: o.app.ID(), AppName: o.app.Name}
	rules, err := answer.Rules(o.items, base, a.cfg.Now())
	if err != nil {
		return invalid("%v", err)
	}
	if _, err := a.engine.Give(ctx, withoutPicks(rules)); err != nil {
		return err
	}
	if answer.Remembered() {
		if err := a.reviews.records.Save(a.reviewRecord(o.app, o.lines)); err != nil {
			return err
		}
	}
	return a.noteReview(o, review.Summary(words), req.By)
}

func reviewAnswer(req api.ReviewAnswer, run string) (review.Answer, error) {
	answer := review.Answer{
		All: review.Word(req.Verdict), Lines: map[int]review.Word{}, Lifetime: consent.Lifetime(req.Lifetime),
		Run: run, For: req.For, By: req.By,
	}
	for number, word := range req.Lines {
		answer.Lines[number] = review.Word(word)
	}
	switch answer.Lifetime {
	case "", consent.Always, consent.Run, consent.Timed:
		return answer, nil
	}
	return answer, invalid("lifetime %.20q: use always, time or run", req.Lifetime)
}

func (a *Agent) noteReview(o *openReview, detail, by string) error {
	return a.engine.Note(consent.Event{Event: "review", App: o.app, Run: o.run, Detail: detail, By: by})
}
