package data

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/consentry/consentry/sandbox"
)

// RequestHeader must stand in every request. A page in an app's browser cannot
// send it without a preflight, and we answer none.
const RequestHeader = "Consentry-Request"

// Port of the data API on the gateway address.
const Port = 9999

const maxBody = 64 << 10 // bytes

// NewHandler serves the data API of one app; broker is that app's, so that who
// asks is given by the wire. hosts are the addresses it is reached at.
func NewHandler(broker sandbox.Broker, hosts ...string) http.Handler {
	h := &handler{broker: broker}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v1/kinds", h.kinds)
	mux.HandleFunc("POST /v1/requests", h.request)
	mux.HandleFunc("GET /v1/user/{field}", h.userField)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		writeProblem(w, http.StatusNotFound, "not-found", "nothing is at "+clip(r.URL.Path)+"; see GET /v1/kinds")
	})
	return guard(mux, hosts)
}

// guard refuses what a web page could send: another Host (rebinding), a request
// without our header (forms, images), and any Origin.
func guard(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case !slices.Contains(hosts, r.Host):
			writeProblem(w, http.StatusMisdirectedRequest, "wrong-host", "the Host of this API is "+strings.Join(hosts, " or "))
		case r.Header.Get(RequestHeader) == "":
			writeProblem(w, http.StatusForbidden, "header-missing", "send the header "+RequestHeader+": 1")
		case r.Header.Get("Origin") != "":
			writeProblem(w, http.StatusForbidden, "origin", "web pages cannot use this API")
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxBody)
			next.ServeHTTP(w, r)
		}
	})
}

type handler struct{ broker sandbox.Broker }

func (h *handler) kinds(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"kinds": Kinds()})
}

// requestBody is the body of POST /v1/requests.
type requestBody struct {
	Type    string   `json:"type"`
	Fields  []string `json:"fields"`
	Purpose string   `json:"purpose"`
}

func (h *handler) request(w http.ResponseWriter, r *http.Request) {
	dec := json.NewDecoder(r.Body)
	dec.DisallowUnknownFields()
	var body requestBody
	if err := dec.Decode(&body); err != nil {
		writeProblem(w, http.StatusBadRequest, "invalid", "the body is not a request: "+err.Error())
		return
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		writeProblem(w, http.StatusBadRequest, "invalid", "text after the JSON object")
		return
	}
	h.answer(w, r, sandbox.DataRequest{Kind: body.Type, Fields: body.Fields, Purpose: body.Purpose}, "")
}

func (h *handler) userField(w http.ResponseWriter, r *http.Request) {
	field := r.PathValue("field")
	h.answer(w, r, sandbox.DataRequest{
		Kind: Identity, Fields: []string{field}, Purpose: r.URL.Query().Get("purpose"),
	}, field)
}

// answer asks the broker and waits, as long as the client does. only is the
// field whose value alone is wanted.
func (h *handler) answer(w http.ResponseWriter, r *http.Request, req sandbox.DataRequest, only string) {
	err := Check(req)
	var reply sandbox.DataReply
	if err == nil {
		reply, err = h.broker.Open(r.Context(), req)
	}
	switch {
	case err != nil:
		writeBrokerError(w, err)
	case only != "":
		writeJSON(w, http.StatusOK, map[string]any{only: reply.Values[only]})
	default:
		status := "granted"
		if len(reply.Withheld) > 0 {
			status = "partial"
		}
		writeJSON(w, http.StatusOK, map[string]any{
			"status": status, "type": req.Kind, "values": reply.Values, "withheld": reply.Withheld,
		})
	}
}

// problems maps the ways a Broker says no to RFC 9457 problems.
var problems = []struct {
	is     error
	status int
	code   string
	retry  bool
}{
	{sandbox.ErrDenied, http.StatusForbidden, "denied", false},
	{sandbox.ErrHeld, http.StatusServiceUnavailable, "timeout", true},
	{sandbox.ErrBusy, http.StatusTooManyRequests, "busy", true},
	{sandbox.ErrInvalid, http.StatusBadRequest, "invalid", false},
	{sandbox.ErrUnknownKind, http.StatusNotFound, "unknown-kind", false},
}

const retryAfter = "10" // seconds

func writeBrokerError(w http.ResponseWriter, err error) {
	for _, p := range problems {
		if errors.Is(err, p.is) {
			if p.retry {
				w.Header().Set("Retry-After", retryAfter)
			}
			writeProblem(w, p.status, p.code, err.Error())
			return
		}
	}
	writeProblem(w, http.StatusServiceUnavailable, "unavailable", sandbox.ErrUnavailable.Error())
}

// writeProblem writes an RFC 9457 problem.
func writeProblem(w http.ResponseWriter, status int, code, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{
		"type": "https://consentry.dev/problems/" + code, "title": code, "status": status, "detail": detail,
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	//nolint:errcheck // the client has gone
	json.NewEncoder(w).Encode(v)
}
