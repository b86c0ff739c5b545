package data

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/consentry/consentry/sandbox"
)

// answers is a Broker that gives what it was told to.
type answers struct {
	asked []sandbox.DataRequest
	reply sandbox.DataReply
	err   error
}

func (a *answers) Dial(context.Context, sandbox.Flow) (net.Conn, error) {
	return nil, sandbox.ErrDenied
}

func (a *answers) Open(_ context.Context, req sandbox.DataRequest) (sandbox.DataReply, error) {
	a.asked = append(a.asked, req)
	return a.reply, a.err
}

func (a *answers) File(context.Context, sandbox.FileRequest) error { return sandbox.ErrDenied }

const host = "10.0.2.2:9999"

// call sends a request to a real server; change spoils it.
func call(t *testing.T, b sandbox.Broker, method, path, body string, change func(*http.Request)) (int, map[string]any) {
	t.Helper()
	server := httptest.NewServer(NewHandler(b, host))
	defer server.Close()
	req, err := http.NewRequest(method, server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Host = host
	req.Header.Set(RequestHeader, "1")
	if change != nil {
		change(req)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatalf("status %d, body %q: %v", resp.StatusCode, raw, err)
	}
	if resp.StatusCode >= 400 && resp.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("status %d with content type %q", resp.StatusCode, resp.Header.Get("Content-Type"))
	}
	return resp.StatusCode, got
}

const askEmail = "/v1/user/email?purpose=to+sign+your+posts"

func TestWebPagesCannotTriggerTheAPI(t *testing.T) {
	for name, change := range map[string]func(*http.Request){
		"another host":    func(r *http.Request) { r.Host = "evil.example:9999" },
		"host, no port":   func(r *http.Request) { r.Host = "10.0.2.2" },
		"no header":       func(r *http.Request) { r.Header.Del(RequestHeader) },
		"page's own call": func(r *http.Request) { r.Header.Set("Origin", "http://localhost:8080") },
	} {
		t.Run(name, func(t *testing.T) {
			b := &answers{reply: sandbox.DataReply{Values: map[string]any{"email": "ada@example.org"}}}
			status, got := call(t, b, "GET", askEmail, "", change)
			if status < 400 || len(b.asked) > 0 {
				t.Fatalf("status %d, %v; the user was asked %d times", status, got, len(b.asked))
			}
		})
	}
}

func TestPreflightIsNotAnswered(t *testing.T) {
	b := &answers{}
	status, _ := call(t, b, "OPTIONS", askEmail, "", func(r *http.Request) {
		r.Header.Set("Access-Control-Request-Headers", RequestHeader)
	})
	if status < 400 {
		t.Fatalf("status %d", status)
	}
}

func TestAnswers(t *testing.T) {
	given := sandbox.DataReply{Values: map[string]any{"email": "ada@example.org"}, Withheld: []string{"name"}}
	for _, c := range []struct {
		name, method, path, body string
		err                      error
		status                   int
		want                     string // in the body
	}{
		{"email", "GET", askEmail, "", nil, 200, `"email":"ada@example.org"`},
		{"partial", "POST", "/v1/requests", `{"type":"identity","fields":["email","name?"],"purpose":"x"}`, nil, 200, `"status":"partial"`},
		{"denied", "GET", askEmail, "", sandbox.ErrDenied, 403, "denied"},
		{"no answer", "GET", askEmail, "", sandbox.ErrHeld, 503, "timeout"},
		{"flood", "GET", askEmail, "", sandbox.ErrBusy, 429, "busy"},
		{"agent lost", "GET", askEmail, "", errors.New("secret detail"), 503, "unavailable"},
		{"no purpose", "GET", "/v1/user/email", "", nil, 400, "purpose"},
		{"no such field", "GET", "/v1/user/password?purpose=x", "", nil, 400, "password"},
		{"no such kind", "POST", "/v1/requests", `{"type":"dna","fields":["x"],"purpose":"x"}`, nil, 404, "unknown-kind"},
		{"spelling", "POST", "/v1/requests", `{"typ":"identity"}`, nil, 400, "typ"},
		{"two bodies", "POST", "/v1/requests", `{"type":"identity"}{}`, nil, 400, "after"},
		{"too long", "POST", "/v1/requests", `{"type":"` + strings.Repeat("x", maxBody) + `"}`, nil, 400, "large"},
		{"kinds", "GET", "/v1/kinds", "", nil, 200, "email"},
		{"elsewhere", "GET", "/", "", nil, 404, "not-found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, got := call(t, &answers{reply: given, err: c.err}, c.method, c.path, c.body, nil)
			raw, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if status != c.status || !strings.Contains(string(raw), c.want) {
				t.Errorf("got %d %s, want %d with %s", status, raw, c.status, c.want)
			}
			if strings.Contains(string(raw), "secret detail") {
				t.Error("an inner error reached the app")
			}
		})
	}
}

func TestProfile(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenService(dir)
	if err != nil {
		t.Fatal(err)
	}
	ask := sandbox.DataRequest{Kind: Identity, Fields: []string{"email", "name?"}, Purpose: "x"}
	if _, err := s.Read(ask); !errors.Is(err, sandbox.ErrDenied) {
		t.Fatalf("an empty profile must look like a no, got %v", err)
	}
	if err := s.SetProfile(map[string]string{"email": "ada@example.org", "shoe": "38"}); !errors.Is(err, sandbox.ErrInvalid) {
		t.Fatalf("unknown field: %v", err)
	}
	if len(s.Profile()) != 0 {
		t.Fatal("a refused change was half done")
	}
	if err := s.SetProfile(map[string]string{"email": "ada@example.org"}); err != nil {
		t.Fatal(err)
	}
	again, err := OpenService(dir)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := again.Read(ask)
	if err != nil || reply.Values["email"] != "ada@example.org" || len(reply.Withheld) != 1 {
		t.Fatalf("got %+v, %v", reply, err)
	}
}
