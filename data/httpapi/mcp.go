package httpapi

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"

	"github.com/consentry/consentry/sandbox"
)

// mcpPath is where an MCP client (Model Context Protocol, streamable HTTP) finds
// the kinds of data as tools.
const mcpPath = "/mcp"

const (
	maxCalls = 64 // of tools, at a time
	// mcpWait is how long a call waits without the member "wait": clients give up
	// after 60 seconds if nobody told them otherwise.
	mcpWait = 45 * time.Second
	// mcpProgress is how often a client that asked for it hears that the user
	// has not answered.
	mcpProgress = 5 * time.Second
)

// mcpServer has no sessions: every POST stands for itself, so that there is
// nothing to bound but the calls.
//
//	POST tools/call ── the user answers ──▶ the result; the same call asks anew
//	            └───── wait is over ──▶ "pending"; the same call goes on waiting
type mcpServer struct {
	api   *API
	calls chan struct{} // one for each that is being answered
	// handler is made for the first request: few apps have one.
	handler func() http.Handler
}

func newMCP(a *API) mcpServer {
	m := mcpServer{api: a, calls: make(chan struct{}, maxCalls)}
	m.handler = sync.OnceValue(func() http.Handler {
		server := mcp.NewServer(&mcp.Implementation{Name: "consentry", Title: "The user's data", Version: "1"}, &mcp.ServerOptions{
			Instructions: mcpInstructions,
			Capabilities: &mcp.ServerCapabilities{Tools: &mcp.ToolCapabilities{}},
		})
		for _, t := range m.tools() {
			server.AddTool(t.tool(), m.call(t.run))
		}
		return mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server }, &mcp.StreamableHTTPOptions{
			Stateless:                  true,
			DisableLocalhostProtection: true, // guard knows the one Host
			MaxRequestBodyBytes:        maxBody,
		})
	})
	return m
}

// leaving has the context of a call's HTTP request, which the SDK cuts off.
type leaving struct{}

func (m mcpServer) serve(w http.ResponseWriter, r *http.Request) {
	raw, err := readBody(w, r)
	if err != nil {
		problemOf(err).write(w)
		return
	}
	ctx := context.WithValue(r.Context(), leaving{}, r.Context())
	r = r.WithContext(ctx)
	r.Body = io.NopCloser(bytes.NewReader(raw))
	m.handler().ServeHTTP(w, r)
}

// call runs one tool, until its client leaves or the app ends.
func (m mcpServer) call(run func(context.Context, *mcp.CallToolRequest) (any, error)) mcp.ToolHandler {
	return func(ctx context.Context, req *mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		select {
		case m.calls <- struct{}{}:
			defer func() { <-m.calls }()
		default:
			return toolResult(problem{busy, "too many calls are open; wait for one of them"}.forTool(), true)
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		defer context.AfterFunc(m.api.ctx, cancel)()
		if client, has := ctx.Value(leaving{}).(context.Context); has {
			defer context.AfterFunc(client, cancel)()
		}
		answer, err := run(ctx, req)
		if err != nil {
			return toolResult(problemOf(err).forTool(), true)
		}
		p, failed := answer.(toolProblem)
		return toolResult(answer, failed && p.Status != statusPending)
	}
}

// toolResult has an answer in both of the forms that clients read.
func toolResult(answer any, failed bool) (*mcp.CallToolResult, error) {
	raw, err := json.Marshal(answer)
	if err != nil {
		return nil, errors.New("internal error")
	}
	return &mcp.CallToolResult{
		Content: []mcp.Content{&mcp.TextContent{Text: string(raw)}}, StructuredContent: json.RawMessage(raw), IsError: failed,
	}, nil
}

// toolProblem is an answer that has nothing of the user's.
type toolProblem struct {
	Status string `json:"status"` // "pending", or the code of a problem
	Detail string `json:"detail"`
	Retry  bool   `json:"retry"` // the same call may have another answer later
}

func (p problem) forTool() toolProblem { return toolProblem{p.code, p.detail, p.retry} }

// waiting is told of a call whose wait is over before the user has answered.
var waiting = toolProblem{statusPending, "the user has not answered yet; call again with the same arguments to go on waiting, the user is not asked twice", true}

// ask asks for what a call wants. A call that is the same as one whose question
// is still open goes on waiting for its answer, so that a client that gave up,
// or was told "pending", does not have the user asked twice.
func (m mcpServer) ask(ctx context.Context, req *mcp.CallToolRequest, body requestBody, wait *int) (any, error) {
	most := mcpWait
	if wait != nil {
		if *wait < 0 {
			return nil, sandbox.ErrInvalid
		}
		most = min(time.Duration(min(*wait, int(maxWait/time.Second)))*time.Second, maxWait)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	q, err := body.question(sha256.Sum256(raw))
	if err != nil {
		return nil, err
	}
	// No header can hold this key: it has a NUL.
	s, refused := m.api.start(q, "mcp\x00"+string(q.digest[:]))
	if refused != nil {
		return refused.forTool(), nil
	}
	defer m.api.table.left(s)
	m.await(ctx, req, s, most)
	now, r := s.answer()
	if now == statePending {
		return waiting, nil
	}
	if r.problem != nil || !q.retain {
		m.api.table.delivered(s)
	}
	if r.problem != nil {
		return r.problem.forTool(), nil
	}
	r.ID = "" // the call itself is how to have it again
	return r, nil
}

// await waits for an answer and tells a client that wants to know that it does.
func (m mcpServer) await(ctx context.Context, req *mcp.CallToolRequest, s *stored, most time.Duration) {
	token := req.Params.GetProgressToken()
	for began := time.Now(); ; {
		left := most - time.Since(began)
		if s.await(ctx, statePending, min(left, mcpProgress)) || ctx.Err() != nil || left <= mcpProgress {
			return
		}
		if token != nil {
			//nolint:errcheck // the client has gone: ctx ends as well
			req.Session.NotifyProgress(ctx, &mcp.ProgressNotificationParams{
				ProgressToken: token, Progress: time.Since(began).Seconds(), Message: "waiting for the user",
			})
		}
	}
}
