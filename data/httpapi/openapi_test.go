package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/consentry/consentry/sandbox"
	"github.com/consentry/consentry/sdk"
)

// described is sdk/openapi.json, and what of it the tests have met.
var described struct {
	doc    *openapi3.T
	router routers.Router

	mu  sync.Mutex
	met map[string]bool // "get /v1/kinds 200", "problem denied"
}

func TestMain(m *testing.M) {
	flag.Parse()
	if err := loadDescription(); err != nil {
		fmt.Fprintln(os.Stderr, "sdk/openapi.json:", err)
		os.Exit(1)
	}
	code := m.Run()
	if run := flag.Lookup("test.run").Value.String(); run == "" && code == 0 && flag.Lookup("test.bench").Value.String() == "" && flag.Lookup("test.list").Value.String() == "" && flag.Lookup("test.fuzz").Value.String() == "" {
		for _, missing := range notMet() {
			fmt.Fprintln(os.Stderr, "sdk/openapi.json has what no test has met:", missing)
			code = 1
		}
	}
	os.Exit(code)
}

func loadDescription() (err error) {
	if described.doc, err = openapi3.NewLoader().LoadFromData(sdk.OpenAPI); err != nil {
		return err
	}
	if err := described.doc.Validate(context.Background()); err != nil {
		return err
	}
	openapi3filter.RegisterBodyDecoder("application/octet-stream", openapi3filter.FileBodyDecoder)
	described.met = map[string]bool{}
	described.router, err = legacy.NewRouter(described.doc)
	return err
}

// check holds an exchange against the description: whatever the handlers say
// must stand there, and what they took must be allowed there.
func check(sent *http.Request, body string, got answer) error {
	req := sent.Clone(sent.Context())
	req.URL.Scheme, req.URL.Host, req.Body = "http", host, io.NopCloser(strings.NewReader(body))
	route, params, err := described.router.FindRoute(req)
	if err != nil {
		return nil // no route: not-found
	}
	described.mu.Lock()
	described.met[fmt.Sprint(strings.ToLower(req.Method), " ", route.Path, " ", got.status)] = true
	if kind, _ := got.json["type"].(string); strings.HasPrefix(kind, typeBase) {
		described.met["problem "+strings.TrimPrefix(kind, typeBase)] = true
	}
	described.mu.Unlock()
	input := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route}
	if err := openapi3filter.ValidateRequest(req.Context(), input); err != nil && got.status < 400 {
		return fmt.Errorf("it was taken, against the description: %w", err)
	}
	return openapi3filter.ValidateResponse(req.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: input, Status: got.status, Header: got.header, Body: io.NopCloser(strings.NewReader(got.raw)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	})
}

func notMet() []string {
	var missing []string
	for path, item := range described.doc.Paths.Map() {
		for method, op := range item.Operations() {
			for status := range op.Responses.Map() {
				if what := fmt.Sprint(strings.ToLower(method), " ", path, " ", status); !described.met[what] {
					missing = append(missing, what)
				}
			}
		}
	}
	for _, code := range described.doc.Components.Schemas["Problem"].Value.Properties["type"].Value.Enum {
		if what := "problem " + strings.TrimPrefix(fmt.Sprint(code), typeBase); !described.met[what] {
			missing = append(missing, what)
		}
	}
	slices.Sort(missing)
	return missing
}

func TestEveryRouteIsDescribed(t *testing.T) {
	var want, got []string
	for path, item := range described.doc.Paths.Map() {
		for method := range item.Operations() {
			want = append(want, method+" "+path)
		}
	}
	for pattern := range (&API{}).routes() {
		got = append(got, pattern)
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("described:\n%v\nserved:\n%v", want, got)
	}
}

// Every way to fail, at every route where it can happen.
func TestEveryProblemOfEveryRoute(t *testing.T) {
	guarded := map[string]func(*http.Request){
		"421 wrong-host":     func(r *http.Request) { r.Host = "evil.example" },
		"403 header-missing": func(r *http.Request) { r.Header.Del(RequestHeader) },
		"403 origin":         func(r *http.Request) { r.Header.Set("Origin", "http://localhost") },
	}
	for _, r := range []struct {
		method, path, body string
		fails              map[string]error // how the broker fails, by what comes of it
	}{
		{"GET", "/openapi.json", "", nil},
		{"GET", "/v1/kinds", "", nil},
		{"POST", "/v1/requests", bodyEmail, map[string]error{"503 timeout": sandbox.ErrHeld}},
		{"GET", "/v1/requests/x", "", map[string]error{"404 not-found": nil}},
		{"DELETE", "/v1/requests/x", "", map[string]error{"404 not-found": nil}},
		{"GET", askEmail, "", map[string]error{"503 unavailable": io.EOF, "403 denied": sandbox.ErrDenied}},
		{"GET", "/v1/files/x", "", map[string]error{"404 not-found": sandbox.ErrNothing, "503 unavailable": io.EOF}},
		{"GET", "/v1/grants", "", map[string]error{"503 unavailable": io.EOF}},
		{"DELETE", "/v1/grants/x", "", map[string]error{"503 unavailable": io.EOF, "400 invalid": sandbox.ErrInvalid}},
	} {
		a := newApp(t, &fake{reply: emailReply()})
		want := func(what string, change func(*http.Request)) {
			t.Helper()
			got, err := a.try(r.method, r.path, r.body, change)
			if said := fmt.Sprint(got.status, " ", strings.TrimPrefix(fmt.Sprint(got.json["type"]), typeBase)); err != nil || said != what {
				t.Errorf("%s %s: %v, %s, want %s", r.method, r.path, err, said, what)
			}
		}
		for what, change := range guarded {
			want(what, change)
		}
		for what, err := range r.fails {
			a.fake.err = err
			want(what, func(*http.Request) {})
		}
		for range maxOpen {
			a.api.open <- struct{}{}
		}
		want("429 busy", func(*http.Request) {})
	}
}

// A request that was asked with Prefer and failed is told so where it is polled.
func TestPollingAProblem(t *testing.T) {
	for _, err := range []error{sandbox.ErrHeld, sandbox.ErrUnknownKind} {
		a := newApp(t, &fake{err: err})
		at := a.call("POST", "/v1/requests", bodyEmail, "Idempotency-Key", "k")
		if at.status != problemOf(err).status {
			t.Errorf("%d %s", at.status, at.raw)
		}
	}
	f, say := held()
	a := newApp(t, f)
	at := a.call("POST", "/v1/requests", bodyEmail, "Prefer", "wait=0").header.Get("Location")
	go func() { say <- sandbox.ErrHeld }()
	if got := a.call("GET", at, "", "Prefer", "wait=60"); got.status != 503 {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := a.call("GET", at, "", "Prefer", "wait=x"); got.status != 400 {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

// FuzzBody holds that no body is answered otherwise than the description says,
// and that what is refused reaches nobody.
func FuzzBody(f *testing.F) {
	f.Add([]byte(bodyEmail), "wait=0")
	f.Add([]byte(`{"items":[{"type":"calendar","fields":["busy"],"from":"2026-12-01T00:00:00Z","to":"2026-12-02T00:00:00+01:00","max":3}],"purpose":"x","retain":"none"}`), "respond-async, wait=1")
	f.Add([]byte(`{"items":[{"type":"secret","name":"t","actions":["use"]},{"type":"url","url":"https://x.example/"},{"type":"notify","title":"t","body":"b"}],"purpose":"x"}`), "")
	f.Fuzz(func(t *testing.T, raw []byte, prefer string) {
		b := &fake{reply: emailReply(), uses: map[uint64]int64{}, ended: make(chan []uint64)}
		api := New(b, host)
		defer api.Close()
		req := httptest.NewRequest("POST", "/v1/requests", bytes.NewReader(raw))
		req.Host = host
		req.Header.Set(RequestHeader, "1")
		req.Header.Set("Content-Type", "application/json")
		if prefer != "" {
			req.Header.Set("Prefer", prefer)
		}
		w := httptest.NewRecorder()
		api.ServeHTTP(w, req)
		got := answer{status: w.Code, header: w.Header(), raw: w.Body.String()}
		if err := json.Unmarshal(w.Body.Bytes(), &got.json); err != nil {
			t.Fatalf("%q: %d %q: %v", raw, w.Code, w.Body, err)
		}
		if err := check(req, string(raw), got); err != nil {
			t.Fatalf("%q: %d %s\n%v", raw, w.Code, w.Body, err)
		}
		if b.mu.Lock(); w.Code >= 400 && w.Code != http.StatusForbidden && len(b.asked) > 0 {
			t.Fatalf("%q: refused with %d, and asked %+v", raw, w.Code, b.asked)
		}
		b.mu.Unlock()
	})
}
