package httpapi

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/consentry/consentry/sandbox"
)

// kindOfProblem is one of the ways in which a request fails: the last part of
// its type (RFC 9457), its title and its status.
type kindOfProblem struct {
	code   string
	title  string
	status int
	retry  bool
}

// typeBase comes before a code.
const typeBase = "https://consentry.dev/problems/"

// The problems there are.
var (
	denied        = kindOfProblem{"denied", "The user did not give it", http.StatusForbidden, false}
	blocked       = kindOfProblem{"blocked", "Nobody is asked", http.StatusForbidden, false}
	undeclared    = kindOfProblem{"undeclared", "The manifest does not name it", http.StatusForbidden, false}
	timeout       = kindOfProblem{"timeout", "No answer yet", http.StatusServiceUnavailable, true}
	unknownKind   = kindOfProblem{"unknown-kind", "No such kind", http.StatusNotFound, false}
	invalid       = kindOfProblem{"invalid", "Not a valid request", http.StatusBadRequest, false}
	mismatch      = kindOfProblem{"invalid", "Not a valid request", http.StatusUnprocessableEntity, false}
	busy          = kindOfProblem{"busy", "Too much at once", http.StatusTooManyRequests, true}
	unavailable   = kindOfProblem{"unavailable", "It cannot be had now", http.StatusServiceUnavailable, true}
	unreachable   = kindOfProblem{"unreachable", "The far end cannot be reached", http.StatusBadGateway, true}
	notFound      = kindOfProblem{"not-found", "Not there", http.StatusNotFound, false}
	wrongHost     = kindOfProblem{"wrong-host", "Another Host", http.StatusMisdirectedRequest, false}
	headerMissing = kindOfProblem{"header-missing", "A header is missing", http.StatusForbidden, false}
	origin        = kindOfProblem{"origin", "From a web page", http.StatusForbidden, false}
)

// ofError has the problem of each way in which a Broker says no, in the order
// in which several of them are one answer: what can be tried again comes first.
var ofError = []struct {
	is      error
	problem kindOfProblem
}{
	{sandbox.ErrHeld, timeout},
	{sandbox.ErrBusy, busy},
	{sandbox.ErrDenied, denied},
	{sandbox.ErrBlocked, blocked},
	{sandbox.ErrUndeclared, undeclared},
	{sandbox.ErrInvalid, invalid},
	{sandbox.ErrUnknownKind, unknownKind},
	{sandbox.ErrNothing, notFound},
}

// problemOf says no more about a no than that it is one, and nothing of faults.
func problemOf(err error) problem {
	for _, e := range ofError {
		switch {
		case !errors.Is(err, e.is):
		case e.problem == invalid || e.problem == unknownKind:
			return problem{e.problem, err.Error()} // about the request itself
		default:
			return problem{e.problem, e.is.Error()}
		}
	}
	return problem{unavailable, sandbox.ErrUnavailable.Error()}
}

// problem is one of them, with a sentence.
type problem struct {
	kindOfProblem
	detail string
}

const retryAfter = "10" // seconds

func (p problem) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	if p.retry {
		h.Set("Retry-After", retryAfter)
	}
	w.WriteHeader(p.status)
	//nolint:errcheck // the client has gone
	json.NewEncoder(w).Encode(map[string]any{
		"type": typeBase + p.code, "title": p.title, "status": p.status, "detail": p.detail,
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	//nolint:errcheck // the client has gone
	json.NewEncoder(w).Encode(v)
}
