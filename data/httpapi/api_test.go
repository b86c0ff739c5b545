package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/consentry/consentry/sandbox"
)

// fake is a Broker that answers what it was told to.
type fake struct {
	mu    sync.Mutex
	asked []sandbox.DataRequest
	reply sandbox.DataReply
	err   error
	open  func(context.Context, sandbox.DataRequest) (sandbox.DataReply, error) // instead of reply and err
	ended chan []uint64
	uses  map[uint64]int64
	given []sandbox.GivenData
	back  []string
	text  string // of every file
}

func (*fake) Dial(context.Context, sandbox.Flow) (net.Conn, error) { return nil, sandbox.ErrDenied }

func (*fake) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

func (f *fake) Open(ctx context.Context, req sandbox.DataRequest) (sandbox.DataReply, error) {
	f.mu.Lock()
	f.asked = append(f.asked, req)
	open := f.open
	f.mu.Unlock()
	if open != nil {
		return open(ctx, req)
	}
	return f.reply, f.err
}

func (f *fake) Ended(ctx context.Context) ([]uint64, error) {
	select {
	case ids := <-f.ended:
		return ids, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (f *fake) Reused(_ context.Context, uses map[uint64]int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, n := range uses {
		f.uses[id] += n
	}
	return nil
}

func (f *fake) Given(context.Context) ([]sandbox.GivenData, error) { return f.given, f.err }

func (f *fake) GiveBack(_ context.Context, grant string) error {
	f.back = append(f.back, grant)
	return f.err
}

func (f *fake) Piece(_ context.Context, p sandbox.FilePiece) (sandbox.FileData, error) {
	if f.err != nil {
		return sandbox.FileData{}, f.err
	}
	end := min(p.Offset+int64(p.Length), int64(len(f.text)))
	return sandbox.FileData{Size: int64(len(f.text)), Data: []byte(f.text[min(p.Offset, end):end])}, nil
}

const host = "10.0.2.2:9999"

// app is a run whose API is served.
type app struct {
	t    *testing.T
	fake *fake
	api  *API
	url  string
}

func newApp(t *testing.T, f *fake) *app {
	t.Helper()
	f.ended, f.uses = make(chan []uint64, 8), map[uint64]int64{}
	api := New(f, host)
	server := httptest.NewServer(api)
	t.Cleanup(func() {
		api.Close()
		server.Close()
	})
	return &app{t, f, api, server.URL}
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    string
	json   map[string]any
}

func (a *app) call(method, path, body string, header ...string) answer {
	a.t.Helper()
	got, err := a.try(method, path, body, func(r *http.Request) {
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return got
}

func (a *app) try(method, path, body string, change func(*http.Request)) (answer, error) {
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	req.Host = host
	req.Header.Set(RequestHeader, "1")
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	change(req)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	got := answer{status: resp.StatusCode, header: resp.Header, raw: string(raw)}
	if strings.Contains(resp.Header.Get("Content-Type"), "json") {
		err = errors.Join(err, json.Unmarshal(raw, &got.json))
	}
	if resp.StatusCode >= 400 && resp.StatusCode != http.StatusRequestedRangeNotSatisfiable && resp.Header.Get("Content-Type") != "application/problem+json" {
		a.t.Errorf("status %d with content type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	if err == nil {
		if err := check(req, body, got); err != nil {
			a.t.Errorf("%s %s: %d %.200s\n%v", method, path, got.status, got.raw, err)
		}
	}
	return got, err
}

const (
	askEmail  = "/v1/user/email?purpose=to+sign+your+posts"
	bodyEmail = `{"items":[{"type":"identity","fields":["email","name?"]}],"purpose":"to sign your posts"}`
)

func emailReply() sandbox.DataReply {
	return sandbox.DataReply{Values: map[string]any{"email": "ada@example.org"}, Withheld: []string{"name"}, Lease: 7}
}

func TestWebPagesCannotTriggerTheAPI(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"another host":    func(r *http.Request) { r.Host = "evil.example:9999" },
		"host, no port":   func(r *http.Request) { r.Host = "10.0.2.2" },
		"no header":       func(r *http.Request) { r.Header.Del(RequestHeader) },
		"page's own call": func(r *http.Request) { r.Header.Set("Origin", "http://localhost:8080") },
		"a preflight": func(r *http.Request) {
			r.Method = http.MethodOptions
			r.Header.Set("Access-Control-Request-Headers", RequestHeader)
			r.Header.Del(RequestHeader)
		},
	} {
		t.Run(name, func(t *testing.T) {
			a := newApp(t, &fake{reply: emailReply()})
			got, err := a.try("GET", askEmail, "", change)
			if err != nil || got.status < 400 || len(a.fake.asked) > 0 {
				t.Fatalf("%v, status %d, %s; the user was asked %d times", err, got.status, got.raw, len(a.fake.asked))
			}
			for name := range got.header {
				if strings.HasPrefix(name, "Access-Control-") {
					t.Errorf("the answer has %s", name)
				}
			}
		})
	}
}

func TestAnswers(t *testing.T) {
	for _, c := range []struct {
		name, method, path, body string
		err                      error
		status                   int
		want                     string // in the body
	}{
		{"email", "GET", askEmail, "", nil, 200, `{"email":"ada@example.org"}`},
		{"partial", "POST", "/v1/requests", bodyEmail, nil, 200, `"status":"partial"`},
		{"denied", "GET", askEmail, "", sandbox.ErrDenied, 403, "problems/denied"},
		{"asking is off", "POST", "/v1/requests", bodyEmail, sandbox.ErrBlocked, 403, "problems/blocked"},
		{"not in the manifest", "POST", "/v1/requests", bodyEmail, sandbox.ErrUndeclared, 403, "problems/undeclared"},
		{"no answer", "GET", askEmail, "", sandbox.ErrHeld, 503, "problems/timeout"},
		{"flood", "GET", askEmail, "", sandbox.ErrBusy, 429, "problems/busy"},
		{"agent lost", "GET", askEmail, "", errors.New("secret detail"), 503, "problems/unavailable"},
		{"no purpose", "GET", "/v1/user/email", "", nil, 400, "purpose"},
		{"no such field", "GET", "/v1/user/password?purpose=x", "", nil, 400, "password"},
		{"no such kind", "POST", "/v1/requests", `{"items":[{"type":"dna","fields":["x"]}],"purpose":"x"}`, nil, 404, "problems/unknown-kind"},
		{"spelling", "POST", "/v1/requests", `{"itms":[]}`, nil, 400, "itms"},
		{"no items", "POST", "/v1/requests", `{"purpose":"x"}`, nil, 400, "items"},
		{"retain", "POST", "/v1/requests", `{"items":[{"type":"identity","fields":["email"]}],"purpose":"x","retain":"ever"}`, nil, 400, "retain"},
		{"action", "POST", "/v1/requests", `{"items":[{"type":"identity","fields":["email"],"actions":["write"]}],"purpose":"x"}`, nil, 400, "action"},
		{"member of another kind", "POST", "/v1/requests", `{"items":[{"type":"identity","fields":["email"],"url":"http://x"}],"purpose":"x"}`, nil, 400, "url"},
		{"range missing", "POST", "/v1/requests", `{"items":[{"type":"calendar","fields":["busy"]}],"purpose":"x"}`, nil, 400, "from"},
		{"two bodies", "POST", "/v1/requests", bodyEmail + "{}", nil, 400, "after"},
		{"too long", "POST", "/v1/requests", `{"purpose":"` + strings.Repeat("x", maxBody) + `"}`, nil, 400, "large"},
		{"kinds", "GET", "/v1/kinds", "", nil, 200, "email"},
		{"description", "GET", "/openapi.json", "", nil, 200, `"openapi"`},
		{"elsewhere", "GET", "/", "", nil, 404, "problems/not-found"},
		{"another method", "PUT", "/v1/requests", "", nil, 404, "problems/not-found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := newApp(t, &fake{reply: emailReply(), err: c.err}).call(c.method, c.path, c.body)
			if got.status != c.status || !strings.Contains(got.raw, c.want) {
				t.Errorf("got %d %s, want %d with %s", got.status, got.raw, c.status, c.want)
			}
			if strings.Contains(got.raw, "secret detail") {
				t.Error("an inner error reached the app")
			}
		})
	}
}

// Nothing and no are told in the same words, whatever the agent's error says.
func TestNothingLooksLikeNo(t *testing.T) {
	var seen []string
	for _, err := range []error{sandbox.ErrDenied, errors.Join(errors.New("data.contacts: no address book"), sandbox.ErrDenied)} {
		seen = append(seen, newApp(t, &fake{err: err}).call("POST", "/v1/requests", bodyEmail).raw)
	}
	if seen[0] != seen[1] {
		t.Errorf("%s\n%s", seen[0], seen[1])
	}
}

func TestSeveralItemsAreAskedAtOnce(t *testing.T) {
	both := make(chan struct{})
	var once sync.WaitGroup
	once.Add(2)
	go func() {
		once.Wait()
		close(both)
	}()
	a := newApp(t, &fake{open: func(ctx context.Context, r sandbox.DataRequest) (sandbox.DataReply, error) {
		once.Done()
		select {
		case <-both:
		case <-ctx.Done():
			return sandbox.DataReply{}, ctx.Err()
		}
		if r.Kind == "clipboard" {
			return sandbox.DataReply{}, sandbox.ErrDenied
		}
		return emailReply(), nil
	}})
	got := a.call("POST", "/v1/requests", `{"items":[{"type":"identity","fields":["email"]},{"type":"clipboard","fields":["text"]}],"purpose":"x"}`)
	if got.status != 200 || got.json["status"] != "partial" || !strings.Contains(got.raw, `{"type":"clipboard","status":"denied"}`) {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

// held is a Broker whose user answers when told to.
func held() (*fake, chan error) {
	say := make(chan error)
	return &fake{open: func(ctx context.Context, _ sandbox.DataRequest) (sandbox.DataReply, error) {
		select {
		case err := <-say:
			return emailReply(), err
		case <-ctx.Done():
			return sandbox.DataReply{}, ctx.Err()
		}
	}}, say
}

func TestPolling(t *testing.T) {
	f, say := held()
	a := newApp(t, f)
	began := a.call("POST", "/v1/requests", bodyEmail, "Prefer", "respond-async")
	at := began.header.Get("Location")
	if began.status != 202 || at == "" || began.header.Get("Retry-After") == "" || began.json["status"] != "pending" {
		t.Fatalf("%d %s %v", began.status, began.raw, began.header)
	}
	if again := a.call("GET", at, "", "Prefer", "wait=1"); again.status != 202 {
		t.Fatalf("%d %s", again.status, again.raw)
	}
	go func() { say <- nil }()
	got := a.call("GET", at, "", "Prefer", "wait=60")
	if got.status != 200 || !strings.Contains(got.raw, "ada@example.org") {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	if got := a.call("GET", at, "", "If-None-Match", got.header.Get("ETag")); got.status != 304 {
		t.Errorf("nothing new: %d %s", got.status, got.raw)
	}
	if !f.asked[0].Retain {
		t.Error("what is fetched later was asked for without a lease")
	}
	f.ended <- []uint64{7}
	gone := a.call("GET", at, "", "If-None-Match", got.header.Get("ETag"), "Prefer", "wait=60")
	if gone.status != 403 || strings.Contains(gone.raw, "ada") {
		t.Errorf("taken back: %d %s", gone.status, gone.raw)
	}
}

// A lease may end before anybody follows leases, or before its answer is here.
func TestARevocationOnTheWayIsNotMissed(t *testing.T) {
	for _, followed := range []bool{false, true} {
		f, say := held()
		a := newApp(t, f)
		if followed {
			a.api.book.Hold(sandbox.DataReply{Lease: 1}, nil)
		}
		at := a.call("POST", "/v1/requests", bodyEmail, "Prefer", "wait=0").header.Get("Location")
		f.ended <- []uint64{7} // before the answer is here
		if followed {
			for len(f.ended) > 0 {
				time.Sleep(time.Millisecond)
			}
			f.ended <- nil
			for len(f.ended) > 0 {
				time.Sleep(time.Millisecond)
			}
		}
		say <- nil
		if !followed { // it is followed from now on
			for len(f.ended) > 0 {
				time.Sleep(time.Millisecond)
			}
			time.Sleep(50 * time.Millisecond)
		}
		got := a.call("GET", at, "", "Prefer", "wait=60")
		if got.status != 403 || strings.Contains(got.raw, "ada@") {
			t.Errorf("followed %v: %d %s", followed, got.status, got.raw)
		}
	}
}

func TestWithdrawEndsTheQuestion(t *testing.T) {
	ended := make(chan struct{})
	a := newApp(t, &fake{open: func(ctx context.Context, _ sandbox.DataRequest) (sandbox.DataReply, error) {
		<-ctx.Done()
		close(ended)
		return sandbox.DataReply{}, ctx.Err()
	}})
	at := a.call("POST", "/v1/requests", bodyEmail, "Prefer", "wait=0").header.Get("Location")
	polled := make(chan answer)
	go func() {
		got, err := a.try("GET", at, "", func(r *http.Request) { r.Header.Set("Prefer", "wait=60") })
		if err != nil {
			t.Error(err)
		}
		polled <- got
	}()
	time.Sleep(50 * time.Millisecond)
	if got := a.call("DELETE", at, ""); got.status != 204 {
		t.Fatalf("%d %s", got.status, got.raw)
	}
	<-ended
	if got := <-polled; got.status != 403 {
		t.Errorf("the long-poll ended with %d %s", got.status, got.raw)
	}
	if got := a.call("GET", at, ""); got.status != 404 {
		t.Errorf("afterwards: %d", got.status)
	}
}

func TestIdempotency(t *testing.T) {
	a := newApp(t, &fake{reply: emailReply()})
	first := a.call("POST", "/v1/requests", bodyEmail, "Idempotency-Key", "k")
	second := a.call("POST", "/v1/requests", bodyEmail, "Idempotency-Key", "k")
	if first.status != 200 || first.raw != second.raw || len(a.fake.asked) != 1 {
		t.Errorf("asked %d times: %s %s", len(a.fake.asked), first.raw, second.raw)
	}
	other := a.call("POST", "/v1/requests", strings.Replace(bodyEmail, "posts", "mails", 1), "Idempotency-Key", "k")
	if other.status != 422 {
		t.Errorf("another request with the same key: %d %s", other.status, other.raw)
	}
	if got := a.call("POST", "/v1/requests", bodyEmail, "Idempotency-Key", strings.Repeat("k", 300)); got.status != 400 {
		t.Errorf("a long key: %d", got.status)
	}
}

func TestAClientThatLeavesTakesItsQuestionAlong(t *testing.T) {
	ended := make(chan struct{})
	a := newApp(t, &fake{open: func(ctx context.Context, _ sandbox.DataRequest) (sandbox.DataReply, error) {
		<-ctx.Done()
		close(ended)
		return sandbox.DataReply{}, ctx.Err()
	}})
	for _, body := range []string{bodyEmail, strings.Replace(bodyEmail, `"purpose"`, `"retain":"run","purpose"`, 1)} {
		ended = make(chan struct{})
		ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
		if _, err := a.try("POST", "/v1/requests", body, func(r *http.Request) { *r = *r.WithContext(ctx) }); err == nil {
			t.Fatal("it was answered")
		}
		leave()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the question is still open")
		}
	}
}

func TestGrants(t *testing.T) {
	a := newApp(t, &fake{given: []sandbox.GivenData{{Grant: "g1", Kind: "identity", Fields: []string{"email"}}}})
	if got := a.call("GET", "/v1/grants", ""); got.status != 200 || got.raw != `{"grants":[{"grant":"g1","kind":"identity","fields":["email"]}]}`+"\n" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := a.call("DELETE", "/v1/grants/g1", ""); got.status != 204 || len(a.fake.back) != 1 || a.fake.back[0] != "g1" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	a.fake.err = sandbox.ErrNothing
	if got := a.call("DELETE", "/v1/grants/g2", ""); got.status != 404 {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

func TestFilesInPieces(t *testing.T) {
	a := newApp(t, &fake{text: strings.Repeat("0123456789", 100_000)})
	if got := a.call("GET", "/v1/files/h", ""); got.status != 200 || got.raw != a.fake.text {
		t.Errorf("%d, %d bytes", got.status, len(got.raw))
	}
	if got := a.call("GET", "/v1/files/h", "", "Range", "bytes=999990-"); got.status != 206 || got.raw != "0123456789" {
		t.Errorf("%d %s", got.status, got.raw)
	}
	if got := a.call("GET", "/v1/files/h", "", "Range", "bytes=2000000-"); got.status != 416 {
		t.Errorf("%d", got.status)
	}
	a.fake.err = sandbox.ErrDenied
	if got := a.call("GET", "/v1/files/h", ""); got.status != 403 || strings.Contains(got.raw, "0123") {
		t.Errorf("%d %s", got.status, got.raw)
	}
}

func TestBoundsOfOpenRequests(t *testing.T) {
	f, _ := held()
	a := newApp(t, f)
	for i := range maxStored + 1 {
		got := a.call("POST", "/v1/requests", bodyEmail, "Prefer", "wait=0")
		if want := 202; i < maxStored && got.status != want {
			t.Fatalf("request %d: %d", i, got.status)
		} else if i == maxStored && got.status != 429 {
			t.Fatalf("one too many: %d", got.status)
		}
	}
}
