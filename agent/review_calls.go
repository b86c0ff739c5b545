package agent

import (
	"context"
	"net/http"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/sandbox"
)

func (a *Agent) listReviews(w http.ResponseWriter, _ *http.Request) error {
	list := []api.Review{}
	for _, o := range a.reviews.list() {
		list = append(list, o.head())
	}
	return ok(w, list)
}

func (a *Agent) getReview(w http.ResponseWriter, r *http.Request) error {
	o := a.reviews.find(r.PathValue("id"))
	if o == nil {
		return &api.Error{Code: "not-found", Message: "no such review waits", Hint: "see what waits with: consentry review", Status: statusNotFound}
	}
	return ok(w, o.shown)
}

func (a *Agent) answerReview(w http.ResponseWriter, r *http.Request) error {
	var req api.ReviewAnswer
	if err := readBody(r, &req); err != nil {
		return err
	}
	if err := a.answerTo(r.Context(), r.PathValue("id"), req); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// install fetches an app and has its manifest reviewed; it starts nothing.
func (a *Agent) install(w http.ResponseWriter, r *http.Request) error {
	return a.admitted(w, r, true, func(s *stream, rec *record) error {
		a.engine.RunEnded(rec.ID) // an answer for this run only has had its time
		return s.json(api.FrameExit, sandbox.Exit{})
	})
}

// admitted reads a request for a run, makes a stream of the call and, once the
// request is admitted, does what is left; an error on the way is the stream's
// last word.
func (a *Agent) admitted(w http.ResponseWriter, r *http.Request, again bool, then func(*stream, *record) error) error {
	var req api.RunRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	s, err := upgrade(w, r)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	rec, err := a.admit(req, s, again)
	if rec != nil {
		defer a.holds.release(rec.ID)
	}
	if err == nil {
		err = then(s, rec)
	}
	if err != nil {
		s.fail(err)
	}
	return nil
}

// admit fetches what a request names and has it reviewed, as long as the client
// is there. Of a record, also of one that comes with an error, the image is held.
func (a *Agent) admit(req api.RunRequest, s *stream, again bool) (*record, error) {
	ctx, done := s.whileConnected(a.ctx)
	defer done()
	rec, err := a.prepare(ctx, req, s.progress)
	if err != nil {
		return rec, err
	}
	if err := a.waive(ctx, rec); err != nil {
		return rec, err
	}
	a.sayReplaced(s, rec)
	return rec, a.reviewed(ctx, rec, s, again)
}

// sayReplaced tells who ran an app of this name before that this is another
// one. With a manifest the review says so.
func (a *Agent) sayReplaced(s *stream, rec *record) {
	if rec.App.Manifest != nil && !rec.Request.NoInput {
		return
	}
	if other := a.replaced(rec.App); other != nil {
		text := consent.CleanName(rec.App.Name) + " is not the app of this name that you allowed things to: it is asked about everything anew"
		s.frame(api.FrameNotice, []byte(text)) //nolint:errcheck // the start notices a client that left
	}
}

// readmit is admit for a run that ended and starts once more.
func (a *Agent) readmit(ctx context.Context, r *run, s *stream) error {
	rec, _ := r.snapshot()
	return a.reviewed(ctx, &rec, s, false)
}
