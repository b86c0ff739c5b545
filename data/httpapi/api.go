package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/data/lease"
	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sdk"
)

// RequestHeader must stand in every request. A page in an app's browser cannot
// send it without a preflight, and we answer none.
const RequestHeader = "Consentry-Request"

// Bounds.
const (
	maxBody  = 64 << 10         // bytes
	bodyTime = 10 * time.Second // for the whole of a body
	maxOpen  = 1024             // requests that are being answered
)

// API serves one run of an app.
type API struct {
	broker  sandbox.Broker
	book    *lease.Book
	table   table
	handler http.Handler
	open    chan struct{} // one for each request that is being answered
	mcp     mcpServer

	ctx  context.Context // of all that outlives its HTTP request
	stop context.CancelFunc
	work sync.WaitGroup
}

// New serves the run whose broker it is given. hosts are the addresses it is
// reached at. Close it when the run has ended.
func New(broker sandbox.Broker, hosts ...string) *API {
	a := &API{broker: broker, book: lease.New(broker), open: make(chan struct{}, maxOpen)}
	a.ctx, a.stop = context.WithCancel(context.Background())
	a.table.byID, a.table.byKey = map[string]*stored{}, map[string]*stored{}
	mux := http.NewServeMux()
	for pattern, serve := range a.routes() {
		mux.HandleFunc(pattern, serve)
	}
	a.mcp = newMCP(a)
	mux.HandleFunc(mcpPath, a.mcp.serve)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem{notFound, r.Method + " " + short(r.URL.Path) + " is not part of this API; see GET /openapi.json"}.write(w)
	})
	to := sender{broker: broker}
	a.handler = a.guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, toPath) {
			to.serve(w, r) // its path is another's: a mux would clean it
			return
		}
		mux.ServeHTTP(w, r)
	}), hosts)
	return a
}

// routes are what sdk/openapi.json describes.
func (a *API) routes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /openapi.json":         a.description,
		"GET /v1/kinds":             a.kinds,
		"POST /v1/requests":         a.ask,
		"GET /v1/requests/{id}":     a.poll,
		"DELETE /v1/requests/{id}":  a.withdraw,
		"GET /v1/user/{field}":      a.userField,
		"GET /v1/files/{handle}":    a.file,
		"GET /v1/grants":            a.grants,
		"DELETE /v1/grants/{grant}": a.giveBack,
	}
}

// Close ends what waits and forgets every answer.
func (a *API) Close() {
	a.stop()
	a.work.Wait()
	a.book.Close()
}

func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) { a.handler.ServeHTTP(w, r) }

// guard refuses what a web page could send: another Host (rebinding), a request
// without our header (forms, images), and any Origin. It bounds the rest. An
// MCP client may have no way to set a header: there the Content-Type, which a
// page cannot send without a preflight either, stands in for it; and see handleSaysSo.
func (a *API) guard(next http.Handler, hosts []string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case a.open <- struct{}{}:
			defer func() { <-a.open }()
		default:
			problem{busy, "too many requests are open"}.write(w)
			return
		}
		switch {
		case !slices.Contains(hosts, r.Host):
			problem{wrongHost, "the Host of this API is " + strings.Join(hosts, " or ")}.write(w)
		case r.URL.Path != mcpPath && r.Header.Get(RequestHeader) == "" && !handleSaysSo(r):
			problem{headerMissing, "send the header " + RequestHeader + ": 1"}.write(w)
		case len(r.Header.Values("Origin")) > 0:
			problem{origin, "web pages cannot use this API"}.write(w)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func (a *API) description(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Write(sdk.OpenAPI) //nolint:errcheck // the client has gone
}

func (a *API) kinds(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, map[string]any{"kinds": data.Kinds()})
}

func short(text string) string {
	const most = 80
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
