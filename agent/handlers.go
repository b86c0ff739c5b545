package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/snapshot"
	"github.com/consentry/consentry/agent/volume"
	"github.com/consentry/consentry/consent"
	"github.com/consentry/consentry/oci"
	"github.com/consentry/consentry/oci/unpack"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/wasmhost"
)

const (
	statusBadRequest = http.StatusBadRequest
	statusNotFound   = http.StatusNotFound
	statusConflict   = http.StatusConflict

	maxRequest = 4 << 20 // bytes of a body of the local API
)

// calls are those of the local API (package api lists them).
func (a *Agent) calls() map[string]func(http.ResponseWriter, *http.Request) error {
	calls := map[string]func(http.ResponseWriter, *http.Request) error{
		"GET /v1/version":            a.getVersion,
		"GET /v1/doctor":             a.getDoctor,
		"POST /v1/runs":              a.createRun,
		"GET /v1/runs":               a.listRuns,
		"GET /v1/runs/{ref}":         a.inspectRun,
		"DELETE /v1/runs/{ref}":      a.removeRun,
		"POST /v1/runs/{ref}/start":  a.startRun,
		"POST /v1/runs/{ref}/attach": a.attachRun,
		"POST /v1/runs/{ref}/stop":   a.stopRun,
		"POST /v1/runs/{ref}/kill":   a.killRun,
		"POST /v1/runs/{ref}/exec":   a.execRun,
		"GET /v1/runs/{ref}/logs":    a.getLogs,
		"GET /v1/images":             a.listImages,
		"GET /v1/images/inspect":     a.inspectImage,
		"DELETE /v1/images":          a.removeImage,
		"POST /v1/images/pull":       a.pullImage,
		"POST /v1/images/prune":      a.pruneImages,
		"GET /v1/requests":           a.listRequests,
		"POST /v1/requests/{id}":     a.answerRequest,
		"GET /v1/grants":             a.listGrants,
		"POST /v1/grants":            a.addGrant,
		"DELETE /v1/grants/{id...}":  a.revokeGrants,
		"GET /v1/why":                a.getWhy,
		"GET /v1/log":                a.getLedger,
		"GET /v1/log/verify":         a.verifyLedger,
		"GET /v1/news":               a.getNews,
		"POST /v1/console":           a.openConsole,
		"POST /v1/install":           a.install,
		"POST /v1/manifests/check":   a.checkManifest,
		"GET /v1/reviews":            a.listReviews,
		"GET /v1/reviews/{id}":       a.getReview,
		"POST /v1/reviews/{id}":      a.answerReview,
		"GET /v1/log/export":         a.exportLedger,
		"POST /v1/store/reset":       a.resetStore,
		"POST /v1/purge":             a.purge,
		"GET /v1/offline":            a.getOffline,
		"PUT /v1/offline":            a.setOffline,
		"GET /v1/presets":            a.listPresets,
		"GET /v1/presets/{name}":     a.getPreset,
		"GET /v1/grants/export":      a.exportGrants,
		"POST /v1/grants/import":     a.importGrants,
		"GET /v1/apps/overview":      a.getOverview,
		"POST /v1/apps/mute":         a.muteApp,
		"GET /v1/learned/{run}":      a.getLearned,

		"POST /v1/runs/{ref}/pause":   a.pauseRun,
		"POST /v1/runs/{ref}/unpause": a.unpauseRun,
		"GET /v1/stats":               a.getStats,
		"GET /v1/runs/{ref}/trace":    a.traceRun,
		"GET /v1/waivers":             a.listWaivers,
		"DELETE /v1/waivers":          a.unwaive,
	}
	maps.Copy(calls, a.networkCalls())
	maps.Copy(calls, a.storeCalls())
	maps.Copy(calls, a.contentCalls())
	maps.Copy(calls, a.dataCalls())
	return calls
}

// handler serves the local API.
func (a *Agent) handler() http.Handler {
	mux := http.NewServeMux()
	for pattern, serve := range a.calls() {
		mux.Handle(pattern, answering(serve))
	}
	mux.Handle("/", answering(func(http.ResponseWriter, *http.Request) error {
		return &api.Error{Code: "not-found", Message: "the agent has no such call", Hint: "is the client of another version?", Status: statusNotFound}
	}))
	return guardAPI(a.alerting(mux))
}

// guardAPI refuses web pages and clients of another version.
func guardAPI(next http.Handler) http.Handler {
	return answering(func(w http.ResponseWriter, r *http.Request) error {
		if r.Header.Get("Origin") != "" || r.Header.Get("Sec-Fetch-Site") != "" || r.Host != api.Host {
			return &api.Error{Code: "origin", Message: "web pages cannot use the agent", Status: http.StatusForbidden}
		}
		if got := r.Header.Get(api.VersionHeader); got != api.APIVersion {
			return &api.Error{
				Code: "version", Message: "the agent speaks version " + api.APIVersion + " of its API, not \"" + got + "\"",
				Hint: "use the consentry command that came with this agent, or restart the agent", Status: http.StatusPreconditionFailed,
			}
		}
		next.ServeHTTP(w, r)
		return nil
	})
}

// answering turns an error into its JSON.
func answering(serve func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := serve(w, r); err != nil {
			e := asAPIError(err)
			writeJSON(w, e.Status, e)
		}
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) //nolint:errcheck // the client has gone
}

func ok(w http.ResponseWriter, v any) error {
	writeJSON(w, http.StatusOK, v)
	return nil
}

func readBody(r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxRequest))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return invalid("body: %v", err)
	}
	return nil
}

// kinds of errors that packages below tell apart, and what to say of them.
var errorKinds = []struct {
	is     error
	code   string
	status int
	hint   string
}{
	{oci.ErrFormat, "unsupported-format", statusBadRequest, "Consentry runs OCI (Docker) images and WebAssembly modules (.wasm)"},
	{wasmhost.ErrComponent, "unsupported-format", statusBadRequest, "build a core module for WASI preview 1 (wasm32-wasip1), or an OCI image"},
	{wasmhost.ErrNotWasm, "unsupported-format", statusBadRequest, "Consentry runs OCI (Docker) images and WebAssembly modules (.wasm)"},
	{oci.ErrUnauthorized, "unauthorized", http.StatusUnauthorized, "log in with docker login REGISTRY, or check the spelling of the image"},
	{oci.ErrNotFound, "not-found", statusNotFound, "see what is here with: consentry images"},
	{oci.ErrUnsigned, "unsigned", http.StatusForbidden, "see which key must sign which image with: consentry signers"},
	{oci.ErrInUse, "in-use", statusConflict, "see what needs it with: consentry ps -a"},
	{volume.ErrNotFound, "not-found", statusNotFound, "see what is here with: consentry volume ls"},
	{volume.ErrExists, "exists", statusConflict, "choose another name, or remove it with: consentry volume rm"},
	{volume.ErrName, "invalid", statusBadRequest, ""},
	{sandbox.ErrNoDirectory, "no-directory", statusNotFound, ""},
	{sandbox.ErrPlace, "invalid", statusBadRequest, ""},
	{snapshot.ErrNotFound, "not-found", statusNotFound, "see them with: consentry snapshot ls RUN"},
	{snapshot.ErrExists, "exists", statusConflict, "choose another name, or remove it with: consentry snapshot rm"},
	{snapshot.ErrName, "invalid", statusBadRequest, ""},
	{unpack.ErrHostile, "unsafe", statusBadRequest, "nothing of it was kept"},
	{unpack.ErrNoSpace, "no-space", http.StatusInsufficientStorage, "make room: consentry df shows what takes it, consentry prune removes images that nothing needs"},
	{oci.ErrCorrupt, "corrupt", http.StatusBadGateway, "fetch or build the image again; nothing of it was kept"},
	{sandbox.ErrNotSupported, "not-supported", http.StatusNotImplemented, "see what this machine can do with: consentry doctor"},
	{consent.ErrNoSuchRequest, "not-found", statusNotFound, "see what waits with: consentry requests"},
	{consent.ErrStaleNonce, "stale", statusConflict, "look at the request again with: consentry requests"},
	{consent.ErrTooEarly, "early", statusConflict, "read the question, then answer"},
	{consent.ErrBadAnswer, "invalid", statusBadRequest, ""},
	{consent.ErrBadRule, "invalid", statusBadRequest, ""},
	{consent.ErrDamaged, "damaged", http.StatusServiceUnavailable, hintDamaged},
	{consent.ErrKeychain, "keychain", http.StatusServiceUnavailable, hintKeychain},
	{sandbox.ErrInvalid, "invalid", statusBadRequest, ""},
	{sandbox.ErrNothing, "not-found", statusNotFound, ""},
	{context.Canceled, "canceled", statusConflict, ""},
}

// asAPIError gives every error its code, status and hint.
func asAPIError(err error) *api.Error {
	var known *api.Error
	if errors.As(err, &known) {
		e := *known
		if e.Status == 0 {
			e.Status = http.StatusInternalServerError
		}
		return &e
	}
	for _, k := range errorKinds {
		if errors.Is(err, k.is) {
			return &api.Error{Code: k.code, Message: err.Error(), Hint: k.hint, Status: k.status}
		}
	}
	return &api.Error{Code: "internal", Message: err.Error(), Status: http.StatusInternalServerError}
}

func (a *Agent) getVersion(w http.ResponseWriter, _ *http.Request) error { return ok(w, a.version()) }

func (a *Agent) getDoctor(w http.ResponseWriter, r *http.Request) error {
	d := api.Doctor{Home: a.cfg.Data, Store: "ok", Keychain: a.keys.name}
	if err := a.engine.Health(); err != nil {
		d.Store = err.Error()
	}
	hosts := []sandbox.Host{a.cfg.Image, a.cfg.VM, a.cfg.Module}
	for i, host := range hosts {
		if host == nil || slices.Index(hosts, host) < i { // on some systems one runs all images
			continue
		}
		check := api.HostCheck{Name: host.Name(), Ready: true}
		if err := host.Check(r.Context()); err != nil {
			check.Ready, check.Problem = false, err.Error()
		}
		if s, ok := host.(sandbox.Surveyor); ok && check.Ready {
			check.Walls = s.Survey(r.Context())
		}
		d.Hosts = append(d.Hosts, check)
	}
	return ok(w, d)
}

func (a *Agent) openConsole(w http.ResponseWriter, r *http.Request) error {
	var req api.ConsoleRequest
	if err := readBody(r, &req); err != nil {
		return err
	}
	if a.cfg.Console == nil {
		return fmt.Errorf("%w: this agent has no console", sandbox.ErrNotSupported)
	}
	way, err := a.cfg.Console.Open(r.Context(), req)
	if err != nil {
		return err
	}
	return ok(w, way)
}

// find resolves the id of a run, a unique prefix of it, or its name.
func (a *Agent) find(ref string) (*run, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r := a.runs[ref]; r != nil {
		return r, nil
	}
	var found []*run
	for id, r := range a.runs {
		if r.rec.Name == ref {
			return r, nil
		}
		if ref != "" && strings.HasPrefix(id, ref) {
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return nil, &api.Error{Code: "not-found", Message: "there is no run \"" + ref + "\"", Hint: "see them with: consentry ps -a", Status: statusNotFound}
	default:
		return nil, &api.Error{Code: "ambiguous", Message: "several runs begin with \"" + ref + "\"", Hint: "give more of the id", Status: statusConflict}
	}
}
