package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/consentry/consentry/data"
	"github.com/consentry/consentry/sandbox"
)

// hosted sends requests to the API under the name that apps know it by.
type hosted struct{}

func (hosted) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Host = host
	return http.DefaultTransport.RoundTrip(r)
}

// client is the SDK's own.
func (a *app) client(options *mcp.ClientOptions) *mcp.ClientSession {
	a.t.Helper()
	c := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, options)
	session, err := c.Connect(a.t.Context(), &mcp.StreamableClientTransport{Endpoint: a.url + mcpPath, HTTPClient: &http.Client{Transport: hosted{}}}, nil)
	if err != nil {
		a.t.Fatal(err)
	}
	a.t.Cleanup(func() { session.Close() })
	return session
}

// tool calls a tool; failed is IsError.
func (a *app) tool(c *mcp.ClientSession, name, args string) (text string, failed bool) {
	a.t.Helper()
	r, err := c.CallTool(a.t.Context(), &mcp.CallToolParams{Name: name, Arguments: json.RawMessage(args)})
	if err != nil {
		a.t.Fatalf("%s %s: %v", name, args, err)
	}
	text = r.Content[0].(*mcp.TextContent).Text
	structured, err := json.Marshal(r.StructuredContent)
	if err != nil || !sameJSON(text, string(structured)) {
		a.t.Errorf("%s: the text is %s, the structure %s, %v", name, text, structured, err)
	}
	return text, r.IsError
}

func sameJSON(one, other string) bool {
	var a, b any
	if json.Unmarshal([]byte(one), &a) != nil || json.Unmarshal([]byte(other), &b) != nil {
		return false
	}
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

const mcpEmail = `{"fields":["email","name?"],"purpose":"to sign your posts"}`

func TestTheToolsAreTheKinds(t *testing.T) {
	f := &fake{reply: emailReply(), text: "dear reader"}
	a := newApp(t, f)
	c := a.client(nil)
	list, err := c.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tool := range list.Tools {
		names = append(names, tool.Name)
	}
	for _, kind := range data.Kinds() {
		name := kind.Action + "_" + kind.Name
		if !slices.Contains(names, name) {
			t.Errorf("no tool %s among %s", name, names)
		}
		f.asked = nil
		raw, err := json.Marshal(sample(kind))
		if err != nil {
			t.Fatal(err)
		}
		item := string(raw)
		if text, failed := a.tool(c, name, item); failed || !strings.Contains(text, "ada@example.org") || strings.Contains(text, `"id"`) {
			t.Errorf("%s %s: %s", name, item, text)
		}
		if len(f.asked) != 1 || f.asked[0].Kind != kind.Name || f.asked[0].Purpose != "to test" {
			t.Errorf("%s: the user was asked %+v", name, f.asked)
		}
		// The same as one of several.
		whole := fmt.Sprintf(`{"items":[%s],"purpose":"to test"}`, strings.Replace(strings.Replace(item, `"purpose":"to test"`, `"type":"`+kind.Name+`"`, 1), ",}", "}", 1))
		if text, failed := a.tool(c, "request_data", whole); failed || len(f.asked) != 2 || fmt.Sprint(f.asked[0]) != fmt.Sprint(f.asked[1]) {
			t.Errorf("%s: %s; asked %+v", whole, text, f.asked)
		}
		if text, failed := a.tool(c, name, `{"purpose":"x","shoe":1}`); !failed || !strings.Contains(text, `"invalid"`) {
			t.Errorf("%s takes a member that it has not: %s", name, text)
		}
	}
	if text, _ := a.tool(c, "list_kinds", `{}`); !strings.Contains(text, "timezone") {
		t.Errorf("the kinds: %s", text)
	}
	if text, _ := a.tool(c, "read_file_content", `{"file":"h","offset":5}`); !sameJSON(text, `{"size":11,"text":"reader"}`) {
		t.Errorf("the file: %s", text)
	}
	f.given = []sandbox.GivenData{{Grant: "g1", Kind: "identity"}}
	if text, _ := a.tool(c, "list_grants", `{}`); !strings.Contains(text, "g1") {
		t.Errorf("the grants: %s", text)
	}
	if text, failed := a.tool(c, "give_back_grant", `{"grant":"g1"}`); failed || !slices.Equal(f.back, []string{"g1"}) {
		t.Errorf("%s: %s", text, f.back)
	}
}

// sample is a whole request of a kind, for its tool.
func sample(kind data.Kind) map[string]any {
	item := map[string]any{"purpose": "to test"}
	if len(kind.Fields) > 0 {
		item["fields"] = []string{kind.Fields[0].Name}
	}
	for _, member := range kind.Needs {
		item[member] = map[string]string{"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "url": "https://example.org"}[member]
		if item[member] == "" {
			item[member] = "x"
		}
	}
	return item
}

func TestToolsSayWhatWentWrong(t *testing.T) {
	for _, c := range []struct {
		name, args string
		err        error
		want       string
	}{
		{"read_identity", mcpEmail, sandbox.ErrDenied, `"status":"denied","detail":"denied by the user","retry":false`},
		{"read_identity", mcpEmail, sandbox.ErrHeld, `"status":"timeout"`},
		{"read_identity", mcpEmail, sandbox.ErrBlocked, `"status":"blocked"`},
		{"read_identity", mcpEmail, errors.New("secret detail"), `"status":"unavailable"`},
		{"read_identity", `{"fields":["email"]}`, nil, "a purpose is missing"},
		{"read_identity", `{"type":"contacts","fields":["email"],"purpose":"x"}`, nil, `"invalid"`},
		{"read_identity", `{"fields":["email"],"purpose":"x","wait":-1}`, nil, `"invalid"`},
		{"request_data", `{"purpose":"x"}`, nil, "1 to 8 items"},
		{"request_data", `{"items":[{"type":"dna"}],"purpose":"x"}`, nil, `"unknown-kind"`},
		{"read_file_content", `{"file":"h","length":300000}`, nil, `"invalid"`},
		{"read_file_content", `{"file":"h"}`, sandbox.ErrNothing, `"not-found"`},
		{"give_back_grant", `{"grant":"g"}`, sandbox.ErrNothing, `"not-found"`},
	} {
		a := newApp(t, &fake{reply: emailReply(), err: c.err})
		text, failed := a.tool(a.client(nil), c.name, c.args)
		if !failed || !strings.Contains(text, c.want) || strings.Contains(text, "secret detail") {
			t.Errorf("%s %s: %s, want %s", c.name, c.args, text, c.want)
		}
	}
}

// A call that waited long enough says so, and the next one has the answer to
// the same question; after that the user is asked anew.
func TestAToolThatWaits(t *testing.T) {
	f, say := held()
	a := newApp(t, f)
	c := a.client(nil)
	short := strings.Replace(mcpEmail, "{", `{"wait":0,`, 1)
	for range 3 {
		if text, failed := a.tool(c, "read_identity", short); failed || !strings.Contains(text, `"pending"`) || !strings.Contains(text, `"retry":true`) {
			t.Fatal(text)
		}
	}
	go func() { say <- nil }()
	if text, failed := a.tool(c, "read_identity", mcpEmail); failed || !strings.Contains(text, "ada@example.org") {
		t.Fatal(text)
	}
	if len(f.asked) != 1 {
		t.Errorf("the user was asked %d times", len(f.asked))
	}
	if text, _ := a.tool(c, "read_identity", short); !strings.Contains(text, `"pending"`) {
		t.Errorf("an answer that was given once came again: %s", text)
	}
	if n := len(a.api.table.byID); n != 1 {
		t.Errorf("%d requests are kept", n)
	}
	// Taken back before it was fetched.
	say <- nil
	for len(f.ended) > 0 || a.api.table.pending() > 0 {
		time.Sleep(time.Millisecond)
	}
	f.ended <- []uint64{7}
	for len(f.ended) > 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if text, failed := a.tool(c, "read_identity", short); !failed || !strings.Contains(text, `"denied"`) || strings.Contains(text, "ada@") {
		t.Errorf("taken back: %s", text)
	}
}

// pending counts the requests without an answer.
func (t *table) pending() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.byID {
		if s.state == statePending {
			n++
		}
	}
	return n
}

func TestARetainedToolAnswer(t *testing.T) {
	f := &fake{reply: emailReply()}
	a := newApp(t, f)
	c := a.client(nil)
	keep := strings.Replace(mcpEmail, "{", `{"retain":"run",`, 1)
	for range 3 {
		if text, _ := a.tool(c, "read_identity", keep); !strings.Contains(text, "ada@example.org") {
			t.Fatal(text)
		}
	}
	if len(f.asked) != 1 {
		t.Errorf("the user was asked %d times", len(f.asked))
	}
	f.ended <- []uint64{7}
	for len(f.ended) > 0 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if text, failed := a.tool(c, "read_identity", keep); !failed || strings.Contains(text, "ada@") {
		t.Errorf("taken back: %s", text)
	}
}

// Two that ask the same at once share the question, and both get the answer.
func TestTwoCallsThatAreTheSame(t *testing.T) {
	f, say := held()
	a := newApp(t, f)
	var all sync.WaitGroup
	for range 4 {
		c := a.client(nil)
		all.Go(func() {
			if text, failed := a.tool(c, "read_identity", mcpEmail); failed || !strings.Contains(text, "ada@example.org") {
				t.Error(text)
			}
		})
	}
	for len(a.api.mcp.calls) < 4 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	say <- nil
	all.Wait()
	if len(f.asked) != 1 || len(a.api.table.byID) != 0 {
		t.Errorf("asked %d times, %d are kept", len(f.asked), len(a.api.table.byID))
	}
}

func TestAClientHearsThatTheUserHasNotAnswered(t *testing.T) {
	f, say := held()
	a := newApp(t, f)
	heard := make(chan string, 8)
	c := a.client(&mcp.ClientOptions{ProgressNotificationHandler: func(_ context.Context, r *mcp.ProgressNotificationClientRequest) {
		heard <- r.Params.Message
	}})
	go func() {
		select {
		case <-heard:
		case <-time.After(time.Minute):
			t.Error("nothing was heard in a minute")
		}
		say <- nil
	}()
	params := &mcp.CallToolParams{Name: "read_identity", Arguments: json.RawMessage(mcpEmail)}
	params.SetProgressToken("p")
	if r, err := c.CallTool(t.Context(), params); err != nil || r.IsError {
		t.Fatal(r, err)
	}
}

// A batch of calls, clients that leave and many at once: a call ends with its
// client, and there are never more than maxCalls.
func TestCallsAreBounded(t *testing.T) {
	var open, most atomic.Int64
	a := newApp(t, &fake{open: func(ctx context.Context, _ sandbox.DataRequest) (sandbox.DataReply, error) {
		n := open.Add(1)
		defer open.Add(-1)
		for old := most.Load(); n > old && !most.CompareAndSwap(old, n); old = most.Load() {
		}
		<-ctx.Done()
		return sandbox.DataReply{}, ctx.Err()
	}})
	var batch []string
	for i := range 300 {
		batch = append(batch, fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{"name":"read_identity","arguments":{"fields":["email"],"purpose":"p%d"}}}`, i, i))
	}
	ctx, leave := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		req, err := http.NewRequestWithContext(ctx, "POST", a.url+mcpPath, strings.NewReader("["+strings.Join(batch, ",")+"]"))
		if err != nil {
			t.Error(err)
			return
		}
		req.Host = host
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		if resp, err := http.DefaultClient.Do(req); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}()
	for open.Load() < maxCalls {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
	if most.Load() != maxCalls {
		t.Errorf("%d questions at once", most.Load())
	}
	leave()
	<-ended
	for began := time.Now(); len(a.api.mcp.calls) > 0; time.Sleep(time.Millisecond) {
		if time.Since(began) > 10*time.Second {
			t.Fatalf("%d calls are open though their client has left", len(a.api.mcp.calls))
		}
	}
}

func TestWebPagesCannotCallTools(t *testing.T) {
	const call = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_identity","arguments":{"fields":["email"],"purpose":"x"}}}`
	for name, c := range map[string]struct {
		change func(*http.Request)
		asks   bool
	}{
		"a client":          {func(*http.Request) {}, true},
		"another host":      {func(r *http.Request) { r.Host = "evil.example:9999" }, false},
		"a page":            {func(r *http.Request) { r.Header.Set("Origin", "http://localhost:8080") }, false},
		"a page that hides": {func(r *http.Request) { r.Header.Set("Origin", "null") }, false},
		"a form":            {func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") }, false},
		"an image":          {func(r *http.Request) { r.Method = "GET" }, false},
		"a preflight":       {func(r *http.Request) { r.Method = "OPTIONS" }, false},
		"a header in its place": {func(r *http.Request) {
			r.Header.Set(RequestHeader, "1")
			r.Header.Set("Content-Type", "text/plain;application/json")
		}, false},
	} {
		a := newApp(t, &fake{reply: emailReply()})
		req, err := http.NewRequestWithContext(t.Context(), "POST", a.url+mcpPath, strings.NewReader(call))
		if err != nil {
			t.Fatal(err)
		}
		req.Host = host
		req.Header.Set("Content-Type", "application/json")
		req.Header.Set("Accept", "application/json, text/event-stream")
		c.change(req)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || (resp.StatusCode == http.StatusOK) != c.asks || (len(a.fake.asked) > 0) != c.asks {
			t.Errorf("%s: status %d, asked %d times, %v: %.200s", name, resp.StatusCode, len(a.fake.asked), err, text)
		}
		if !c.asks && resp.Header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: a page may read the answer", name)
		}
	}
}

func TestPiecesOfText(t *testing.T) {
	whole := strings.Repeat("aé€😀", 100)
	var got strings.Builder
	for at := int64(0); ; {
		end := min(at+7, int64(len(whole)))
		p := pieceOf(sandbox.FileData{Size: int64(len(whole)), Data: []byte(whole[at:end])}, at)
		if p.Base64 != "" {
			t.Fatalf("at %d: %+v", at, p)
		}
		got.WriteString(p.Text)
		if at = p.Next; at == 0 {
			break
		}
	}
	if got.String() != whole {
		t.Errorf("%q", got.String())
	}
	if p := pieceOf(sandbox.FileData{Size: 3, Data: []byte{0xff, 0, 1}}, 0); p.Base64 != "/wAB" || p.Next != 0 {
		t.Errorf("%+v", p)
	}
}

// FuzzMCP: whatever a body is, it is answered, and asks for nothing that the
// rules of requests do not allow.
func FuzzMCP(f *testing.F) {
	f.Add([]byte(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read_identity","arguments":` + mcpEmail + `}}`))
	f.Add([]byte(`[{"jsonrpc":"2.0","id":1,"method":"tools/list"},{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}]`))
	f.Add([]byte(`{"jsonrpc":"2.0","id":"x","method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"a","version":"1"}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		broker := &fake{reply: emailReply(), ended: make(chan []uint64), uses: map[uint64]int64{}}
		a := New(broker, host)
		defer a.Close()
		req, w := request(raw), &recorder{header: http.Header{}}
		a.ServeHTTP(w, req)
		broker.mu.Lock()
		defer broker.mu.Unlock()
		for _, asked := range broker.asked {
			if err := data.Check(asked); err != nil {
				t.Errorf("%s: %v", raw, err)
			}
		}
	})
}

func request(raw []byte) *http.Request {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	context.AfterFunc(ctx, cancel)
	req, err := http.NewRequestWithContext(ctx, "POST", "http://"+host+mcpPath, strings.NewReader(string(raw)))
	if err != nil {
		panic(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "*/*")
	return req
}

// recorder drops what is written.
type recorder struct{ header http.Header }

func (r *recorder) Header() http.Header             { return r.header }
func (r *recorder) Write(p []byte) (int, error)     { return len(p), nil }
func (r *recorder) WriteHeader(int)                 {}
func (r *recorder) Flush()                          {}
func (r *recorder) SetReadDeadline(time.Time) error { return nil }
