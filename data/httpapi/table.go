package httpapi

import (
	"context"
	"crypto/rand"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/data/lease"
)

// Bounds of the requests that are kept.
const (
	maxStored  = 256
	maxKey     = 255              // bytes of an Idempotency-Key
	keepResult = 10 * time.Minute // after it is known, where the app does not retain it
	pollAgain  = "1"              // seconds
)

// state is how far a request has come; it only grows.
type state int

const (
	statePending state = iota
	stateDone
	stateEnded // an answer that may not be used any more
)

// stored is a request with an id.
type stored struct {
	id, key string
	q       question
	cancel  context.CancelFunc
	table   *table

	// Under table.mu.
	state   state
	changed chan struct{} // closed and replaced when state grows
	result  result
	held    []*lease.Held
	until   time.Time // zero: as long as the run and its leases
	callers int       // who were given it by start, and have not left
}

type table struct {
	mu    sync.Mutex
	byID  map[string]*stored
	byKey map[string]*stored
}

// start begins a request, or finds the one with the same key.
func (a *API) start(q question, key string) (*stored, *problem) {
	t := &a.table
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	if s := t.byKey[key]; key != "" && s != nil {
		if s.q.digest != q.digest {
			return nil, &problem{mismatch, "this Idempotency-Key was used for another request"}
		}
		s.callers++
		return s, nil
	}
	if len(t.byID) >= maxStored {
		return nil, &problem{busy, "too many requests are kept; DELETE those that are not needed any more"}
	}
	for i := range q.items {
		q.items[i].Retain = true // so that it is not given when it has been taken back meanwhile
	}
	ctx, cancel := context.WithCancel(a.ctx)
	s := &stored{id: rand.Text(), key: key, q: q, cancel: cancel, table: t, changed: make(chan struct{}), callers: 1}
	t.byID[s.id] = s
	if key != "" {
		t.byKey[key] = s
	}
	a.work.Go(func() {
		defer cancel()
		a.finish(s, a.perform(ctx, q))
	})
	return s, nil
}

// finish has the result, unless what it was given for has ended on the way.
func (a *API) finish(s *stored, r result) {
	var held []*lease.Held
	whole := true
	for _, item := range r.Items {
		if item.err != nil || len(item.Values)+len(item.Records) == 0 { // nothing that could be taken back
			continue
		}
		h := a.book.Hold(item.reply, func() { s.end() })
		if held = append(held, h); h == nil {
			whole = false
		}
	}
	r.ID = s.id
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.held = held
	if s.state != statePending { // withdrawn, or ended between being held and here
		s.release()
		return
	}
	if !whole {
		s.endLocked()
		return
	}
	s.result = r
	if !s.q.retain || r.problem != nil {
		s.until = time.Now().Add(keepResult)
	}
	s.grow(stateDone)
	if r.problem != nil && r.problem.retry {
		delete(s.table.byKey, s.key) // the same key may try again
	}
}

// end drops the answer.
func (s *stored) end() {
	s.table.mu.Lock()
	defer s.table.mu.Unlock()
	s.endLocked()
}

func (s *stored) endLocked() {
	s.result = result{problem: &takenBack}
	s.release()
	s.until = time.Now().Add(keepResult)
	s.grow(stateEnded)
}

func (s *stored) grow(to state) {
	s.state = to
	close(s.changed)
	s.changed = make(chan struct{})
}

// await waits until the state is no longer from; false if that took too long.
func (s *stored) await(ctx context.Context, from state, most time.Duration) bool {
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		s.table.mu.Lock()
		now, changed := s.state, s.changed
		s.table.mu.Unlock()
		if now != from {
			return true
		}
		select {
		case <-changed:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// answer is how the request stands, and what it came to: once for all of its
// leases together.
func (s *stored) answer() (state, result) {
	s.table.mu.Lock()
	now, r, held := s.state, s.result, s.held
	s.table.mu.Unlock()
	if now == statePending {
		return now, result{ID: s.id, Status: statusPending}
	}
	for _, h := range held {
		if h != nil && !h.Use() {
			return now, result{problem: &takenBack}
		}
	}
	return now, r
}

// takenBack is what is said of an answer that was given before.
var takenBack = problem{denied, "it was given, and has been taken back"}

func (s *stored) write(w http.ResponseWriter) {
	now, r := s.answer()
	w.Header().Set("ETag", now.tag())
	if now == statePending {
		w.Header().Set("Location", "/v1/requests/"+s.id)
		w.Header().Set("Retry-After", pollAgain)
		writeJSON(w, http.StatusAccepted, r)
		return
	}
	r.write(w)
}

func (s state) tag() string { return `"` + strconv.Itoa(int(s)) + `"` }

// remove forgets a request and ends its question.
func (t *table) remove(s *stored) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget(s)
}

// delivered says that a caller has the answer: the same key is another request
// from now on.
func (t *table) delivered(s *stored) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.unkey(s)
}

// left says that a caller of start does not wait any more. The last one of a
// request that was delivered takes it along.
func (t *table) left(s *stored) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s.callers--
	if s.callers == 0 && s.state != statePending && t.byKey[s.key] != s {
		t.forget(s)
	}
}

func (t *table) unkey(s *stored) {
	if t.byKey[s.key] == s {
		delete(t.byKey, s.key)
	}
}

func (t *table) forget(s *stored) {
	s.cancel()
	delete(t.byID, s.id)
	t.unkey(s)
	s.release()
	if s.state != stateEnded {
		s.endLocked()
	}
}

// release: table.mu is held.
func (s *stored) release() {
	for _, h := range s.held {
		if h != nil {
			h.Release()
		}
	}
	s.held = nil
}

func (t *table) expire(now time.Time) {
	for _, s := range t.byID {
		if !s.until.IsZero() && now.After(s.until) {
			t.forget(s)
		}
	}
}

func (t *table) find(id string) *stored {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.expire(time.Now())
	return t.byID[id]
}

// poll is GET /v1/requests/ID: at once, or with Prefer: wait as soon as the
// request stands otherwise than If-None-Match says, or pending without it.
func (a *API) poll(w http.ResponseWriter, r *http.Request) {
	s := a.table.find(r.PathValue("id"))
	if s == nil {
		problem{notFound, "there is no such request, or it is over"}.write(w)
		return
	}
	wait, limited, err := preferredWait(r.Header)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	from := statePending
	known, err := strconv.Atoi(strings.Trim(strings.TrimSpace(r.Header.Get("If-None-Match")), `"`))
	if err == nil {
		from = state(known)
	}
	if limited {
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
	}
	if !s.await(r.Context(), from, wait) && err == nil {
		w.Header().Set("ETag", from.tag())
		w.WriteHeader(http.StatusNotModified)
		return
	}
	s.write(w)
}

// withdraw is DELETE /v1/requests/ID.
func (a *API) withdraw(w http.ResponseWriter, r *http.Request) {
	s := a.table.find(r.PathValue("id"))
	if s == nil {
		problem{notFound, "there is no such request, or it is over"}.write(w)
		return
	}
	a.table.remove(s)
	w.WriteHeader(http.StatusNoContent)
}
