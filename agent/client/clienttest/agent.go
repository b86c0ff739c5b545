// Package clienttest serves the local API of an agent that runs nothing: the
// real socket, the real types, and apps that are short scripts. It is for
// tests of what talks to an agent. What it shows is how a client behaves, never
// that the real agent does.
package clienttest

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/ipc"
)

// Now is when everything happens.
var Now = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// Agent is one that serves; its methods may be used by several goroutines.
type Agent struct {
	Paths ipc.Paths

	mu      sync.Mutex
	api     string // the API version it claims
	prompts []api.Prompt
	grants  []api.Grant
	calls   []string
	answers []api.AnswerRequest
	answer  map[string]chan api.AnswerRequest // prompts a script waits for
	review  chan<- api.ReviewAnswer           // while an app waits for one
	doctor  api.Doctor
	broken  bool // the ledger
	damaged bool // the store
}

// Serve starts an agent at p until the test ends.
func Serve(t testing.TB, p ipc.Paths) *Agent {
	t.Helper()
	a, stop, err := Start(p)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return a
}

// Start starts an agent at p; stop ends it and waits.
func Start(p ipc.Paths) (a *Agent, stop func(), err error) {
	l, err := ipc.Listen(p, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	a = &Agent{
		Paths: p, api: api.APIVersion, prompts: somePrompts(), grants: someGrants(),
		answer: map[string]chan api.AnswerRequest{}, doctor: goodDoctor(),
	}
	server := &http.Server{Handler: a.handler(), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l)
	}()
	return a, func() { _ = server.Close(); <-done }, nil
}

// Calls are the method and path of every request so far.
func (a *Agent) Calls() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]string(nil), a.calls...)
}

// Answers are the answers given so far.
func (a *Agent) Answers() []api.AnswerRequest {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]api.AnswerRequest(nil), a.answers...)
}

// Waits says whether a script waits for an answer to a prompt.
func (a *Agent) Waits(prompt string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.answer[prompt] != nil
}

// SpeakAPI changes the API version it speaks.
func (a *Agent) SpeakAPI(v string) { a.mu.Lock(); a.api = v; a.mu.Unlock() }

// BreakLedger makes `log verify` fail.
func (a *Agent) BreakLedger() { a.mu.Lock(); a.broken = true; a.mu.Unlock() }

// DamageStore has everything denied until the store is reset.
func (a *Agent) DamageStore() { a.mu.Lock(); a.damaged = true; a.mu.Unlock() }

// BreakHosts makes no host ready.
func (a *Agent) BreakHosts() { a.mu.Lock(); a.doctor = badDoctor(); a.mu.Unlock() }

// Clear empties every list.
func (a *Agent) Clear() { a.mu.Lock(); a.prompts, a.grants = nil, nil; a.mu.Unlock() }

func (a *Agent) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, f := range map[string]func(*http.Request) (any, error){
		"GET /v1/version":          a.version,
		"GET /v1/doctor":           a.doctorCall,
		"GET /v1/runs":             a.listRuns,
		"GET /v1/runs/{ref}":       a.inspect,
		"DELETE /v1/runs/{ref}":    a.known,
		"POST /v1/runs/{ref}/stop": a.known,
		"POST /v1/runs/{ref}/kill": a.known,
		"GET /v1/images":           a.listImages,
		"GET /v1/images/inspect":   a.image,
		"DELETE /v1/images":        a.removeImage,
		"POST /v1/images/prune":    a.prune,
		"GET /v1/presets":          a.listPresets,
		"GET /v1/presets/{name}":   a.getPreset,
		"GET /v1/grants/export":    a.exportRules,
		"POST /v1/grants/import":   a.importRules,
		"GET /v1/apps/overview":    a.overview,
		"POST /v1/apps/mute":       a.mute,
		"GET /v1/learned/{run}":    a.learned,
		"GET /v1/reviews":          a.listReviews,
		"GET /v1/reviews/{id}":     a.getReview,
		"POST /v1/reviews/{id}":    a.answerReview,
		"GET /v1/requests":         a.listRequests,
		"POST /v1/requests/{id}":   a.answerCall,
		"GET /v1/grants":           a.listGrants,
		"POST /v1/grants":          a.addGrant,
		"GET /v1/waivers": func(*http.Request) (any, error) {
			return []api.Waiver{{AppID: "sha256:4f5a", Walls: []string{"ebpf-lsm"}}}, nil
		},
		"DELETE /v1/grants/{id}": a.revoke,
		"GET /v1/why":            a.why,
		"GET /v1/log/verify":     a.verify,
		"POST /v1/store/reset":   a.resetStore,

		"POST /v1/manifests/check": a.checkManifest,

		"POST /v1/runs/{ref}/pause":   a.known,
		"POST /v1/runs/{ref}/unpause": a.known,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { reply(w, r, f) })
	}
	for pattern, f := range a.diskCalls() {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { reply(w, r, f) })
	}
	mux.HandleFunc("GET /v1/volumes/{name}/backup", a.backupVolume)
	mux.HandleFunc("GET /v1/runs/{ref}/files", a.giveFiles)
	mux.HandleFunc("GET /v1/images/export", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.FormValue("form")) })
	a.networkCalls(mux)
	mux.HandleFunc("GET /v1/runs/{ref}/logs", a.logs)
	mux.HandleFunc("GET /v1/log", a.ledger)
	mux.HandleFunc("GET /v1/log/export", a.export)
	mux.HandleFunc("POST /v1/images/pull", a.pull)
	mux.HandleFunc("POST /v1/runs", a.run)
	mux.HandleFunc("POST /v1/install", a.install)
	mux.HandleFunc("POST /v1/runs/{ref}/start", a.runAgain)
	mux.HandleFunc("POST /v1/runs/{ref}/attach", a.runAgain)
	mux.HandleFunc("POST /v1/runs/{ref}/exec", a.exec)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.mu.Lock()
		a.calls = append(a.calls, r.Method+" "+r.URL.RequestURI())
		speaks := a.api
		a.mu.Unlock()
		if got := r.Header.Get(api.VersionHeader); got != speaks {
			fail(w, &api.Error{
				Code: "version", Message: "the agent speaks version " + speaks + " of its API, not \"" + got + "\"",
				Hint: "use the consentry command that came with this agent, or restart the agent", Status: http.StatusPreconditionFailed,
			})
			return
		}
		a.alert(w)
		mux.ServeHTTP(w, r)
	})
}

func reply(w http.ResponseWriter, r *http.Request, f func(*http.Request) (any, error)) {
	v, err := f(r)
	if err != nil {
		fail(w, err)
		return
	}
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, err error) {
	fault, ok := err.(*api.Error) //nolint:errorlint // the handlers return nothing else
	if !ok {
		fault = &api.Error{Code: "internal", Message: err.Error(), Status: http.StatusInternalServerError}
	}
	w.WriteHeader(fault.Status)
	_ = json.NewEncoder(w).Encode(fault)
}

func notFound(what string) *api.Error {
	return &api.Error{Code: "not-found", Message: "no " + what, Hint: "consentry ps -a lists runs", Status: http.StatusNotFound}
}
