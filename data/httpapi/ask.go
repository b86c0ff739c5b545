package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// maxWait bounds Prefer: wait.
const maxWait = 5 * time.Minute

// requestBody is the body of POST /v1/requests.
type requestBody struct {
	Items   []data.Item `json:"items"`
	Purpose string      `json:"purpose"`
	Retain  string      `json:"retain"`
}

// question is a request that is well-formed.
type question struct {
	items  []sandbox.DataRequest
	retain bool
	digest [sha256.Size]byte // of the body
}

// result is what the app is told of a request.
type result struct {
	ID     string       `json:"id,omitempty"`
	Status string       `json:"status"`
	Items  []itemResult `json:"items,omitempty"`

	problem *problem // instead of all that
}

type itemResult struct {
	Type     string           `json:"type"`
	Status   string           `json:"status"` // "granted", "partial", or the code of a problem
	Grant    string           `json:"grant,omitempty"`
	Values   map[string]any   `json:"values,omitempty"`
	Records  []map[string]any `json:"records,omitempty"`
	Withheld []string         `json:"withheld,omitempty"`

	reply sandbox.DataReply
	err   error
}

// Words for how a request stands.
const (
	statusPending = "pending"
	statusGranted = "granted"
	statusPartial = "partial"
)

// ask is POST /v1/requests. Without a preference for less it waits as long as
// the user may take, and answers by the way; what is only asked for once, and
// not kept, is in no table.
func (a *API) ask(w http.ResponseWriter, r *http.Request) {
	q, err := readQuestion(w, r)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	wait, limited, err := preferredWait(r.Header)
	key := r.Header.Get("Idempotency-Key")
	switch {
	case err != nil:
		problemOf(err).write(w)
	case len(key) > maxKey:
		problem{invalid, fmt.Sprintf("the Idempotency-Key is longer than %d bytes", maxKey)}.write(w)
	case !limited && key == "" && !q.retain:
		a.perform(r.Context(), q).write(w)
	default:
		a.askLasting(w, r, q, key, wait, limited)
	}
}

func (a *API) askLasting(w http.ResponseWriter, r *http.Request, q question, key string, wait time.Duration, limited bool) {
	s, err := a.start(q, key)
	if err != nil {
		err.write(w)
		return
	}
	if limited {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	} else {
		wait = maxWait
	}
	if !s.await(r.Context(), statePending, wait) && r.Context().Err() != nil && key == "" && !limited {
		a.table.remove(s) // nobody knows its id
		return
	}
	s.write(w)
}

func readQuestion(w http.ResponseWriter, r *http.Request) (question, error) {
	raw, err := readBody(w, r)
	if err != nil {
		return question{}, err
	}
	return parseQuestion(raw)
}

// readBody reads a whole body, which has a bound and a time.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	c := http.NewResponseController(w)
	if err := c.SetReadDeadline(time.Now().Add(bodyTime)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sandbox.ErrInvalid, err)
	}
	if err := c.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return nil, err
	}
	return raw, nil
}

// parseQuestion reads the body of a request.
func parseQuestion(raw []byte) (question, error) {
	var body requestBody
	if err := data.Decode(bytes.NewReader(raw), &body); err != nil {
		return question{}, err
	}
	return body.question(sha256.Sum256(raw))
}

// question checks a request; digest is what another of the same key must have.
func (b requestBody) question(digest [sha256.Size]byte) (question, error) {
	if len(b.Items) == 0 || len(b.Items) > data.MaxItems {
		return question{}, fmt.Errorf("%w: a request has 1 to %d items", sandbox.ErrInvalid, data.MaxItems)
	}
	retain, err := data.Retained(b.Retain)
	if err != nil {
		return question{}, err
	}
	q := question{retain: retain, digest: digest}
	for i, item := range b.Items {
		req, err := item.Request(b.Purpose, retain)
		if err != nil {
			return question{}, fmt.Errorf("item %d: %w", i+1, err)
		}
		q.items = append(q.items, req)
	}
	return q, nil
}

// preferredWait reads RFC 7240's wait and respond-async; limited says that
// there is one of them.
func preferredWait(h http.Header) (wait time.Duration, limited bool, err error) {
	for preference := range strings.SplitSeq(strings.Join(h.Values("Prefer"), ","), ",") {
		preference, _, _ = strings.Cut(preference, ";")
		name, value, _ := strings.Cut(strings.TrimSpace(preference), "=")
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "respond-async":
			limited = true
		case "wait":
			seconds, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err != nil {
				return 0, false, fmt.Errorf("%w: Prefer: wait is a number of seconds", sandbox.ErrInvalid)
			}
			return min(time.Duration(seconds)*time.Second, maxWait), true, nil
		}
	}
	return 0, limited, nil
}

// perform asks for every item at once, so that the user sees all the questions.
func (a *API) perform(ctx context.Context, q question) result {
	items := make([]itemResult, len(q.items))
	if len(items) == 1 {
		items[0] = a.performOne(ctx, q.items[0])
		return summary(items)
	}
	var all sync.WaitGroup
	for i, req := range q.items {
		all.Go(func() { items[i] = a.performOne(ctx, req) })
	}
	all.Wait()
	return summary(items)
}

func (a *API) performOne(ctx context.Context, req sandbox.DataRequest) itemResult {
	reply, err := a.broker.Open(ctx, req)
	if err != nil {
		return itemResult{Type: req.Kind, Status: problemOf(err).code, err: err}
	}
	i := itemResult{
		Type: req.Kind, Status: statusGranted, Grant: reply.Grant, Values: reply.Values, Records: reply.Records,
		Withheld: reply.Withheld, reply: reply,
	}
	if len(i.Withheld) > 0 {
		i.Status = statusPartial
	}
	return i
}

// summary is a problem when nothing at all was given.
func summary(items []itemResult) result {
	r := result{Status: statusGranted, Items: items}
	given := false
	for _, i := range items {
		given = given || i.err == nil
		if i.Status != statusGranted {
			r.Status = statusPartial
		}
	}
	if !given {
		p := worst(items)
		r.problem = &p
	}
	return r
}

func worst(items []itemResult) problem {
	for _, e := range ofError {
		at := slices.IndexFunc(items, func(i itemResult) bool { return errors.Is(i.err, e.is) })
		if at >= 0 {
			return problemOf(items[at].err)
		}
	}
	return problemOf(items[0].err)
}

func (r result) write(w http.ResponseWriter) {
	if r.problem != nil {
		r.problem.write(w)
		return
	}
	writeJSON(w, http.StatusOK, r)
}

// userField is the one-line form.
func (a *API) userField(w http.ResponseWriter, r *http.Request) {
	field := r.PathValue("field")
	req, err := data.Item{Type: data.Identity, Fields: []string{field}}.Request(r.URL.Query().Get("purpose"), false)
	var reply sandbox.DataReply
	if err == nil {
		reply, err = a.broker.Open(r.Context(), req)
	}
	if err != nil {
		problemOf(err).write(w)
		return
	}
	writeJSON(w, http.StatusOK, reply.Values)
}
