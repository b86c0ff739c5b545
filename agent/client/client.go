package client

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/ipc"
)

// Bounds of what the agent may answer, in bytes.
const (
	maxBody  = 64 << 20
	maxError = 64 << 10
	maxLine  = 4 << 20
)

// continueWait is how long the agent may think before it wants a body.
const continueWait = 10 * time.Second

// Client calls one agent. Its methods may be used by several goroutines.
type Client struct {
	http  *http.Client
	paths ipc.Paths
	alert atomic.Pointer[string] // see Alert
	first atomic.Pointer[opened] // see Connect
}

// New returns a client that connects at its first call.
func New(p ipc.Paths) *Client {
	c := &Client{paths: p}
	transport := &http.Transport{
		DialContext:  c.dial,
		MaxIdleConns: 1,
		// A refusal is read before a long body is sent into a closed connection.
		ExpectContinueTimeout: continueWait,
	}
	c.http = &http.Client{Transport: transport}
	return c
}

// dial gives the connection that reach has opened, then new ones.
func (c *Client) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	if conn := c.first.Swap(nil); conn != nil {
		if time.Since(conn.at) < freshness {
			return conn.Conn, nil
		}
		conn.Close()
	}
	return ipc.Dial(ctx, c.paths)
}

// Close drops idle connections; calls and streams that are open go on.
func (c *Client) Close() {
	if conn := c.first.Swap(nil); conn != nil {
		conn.Close()
	}
	c.http.CloseIdleConnections()
}

// call does one request; in and out may be nil.
func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	resp, err := c.send(ctx, method, path, in, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	if out == nil {
		_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
		return err
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxBody)).Decode(out); err != nil {
		return fmt.Errorf("answer of the agent to %s %s: %w", method, path, err)
	}
	return nil
}

// send returns a 2xx or 101 answer, or the error the agent gave.
func (c *Client) send(ctx context.Context, method, path string, in any, upgrade string) (*http.Response, error) {
	body, kind, err := bodyOf(in)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, method, "http://"+api.Host+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set(api.VersionHeader, api.APIVersion)
	if in != nil {
		req.Header.Set("Content-Type", kind)
	}
	if kind == api.TarType {
		req.Header.Set("Expect", "100-continue")
	}
	if upgrade != "" {
		req.Header.Set("Connection", "Upgrade")
		req.Header.Set("Upgrade", upgrade)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.transportError(ctx, err)
	}
	c.keepAlert(resp.Header.Get(api.AlertHeader))
	if resp.StatusCode == http.StatusSwitchingProtocols || resp.StatusCode/100 == 2 {
		return resp, nil
	}
	defer resp.Body.Close() //nolint:errcheck // an error is on its way already
	return nil, faultOf(resp)
}

// bodyOf is the body of a request: a stream as it is, anything else as JSON.
func bodyOf(in any) (body io.Reader, kind string, err error) {
	switch in := in.(type) {
	case nil:
		return nil, "", nil
	case io.Reader:
		return in, api.TarType, nil
	}
	raw, err := json.Marshal(in)
	return bytes.NewReader(raw), "application/json", err
}

// copyTo copies the stream that a call answers with. A break in the middle is
// an error.
func (c *Client) copyTo(ctx context.Context, w io.Writer, method, path string) error {
	resp, err := c.send(ctx, method, path, nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	if _, err := io.Copy(w, resp.Body); err != nil {
		return c.transportError(ctx, fmt.Errorf("answer of the agent: %w", err))
	}
	return nil
}

func (c *Client) transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err
	}
	if errors.Is(err, io.EOF) {
		return &Advice{Err: errors.New("the agent closed the connection"), Text: "its log may say why: " + c.paths.Log()}
	}
	return explain(err, c.paths)
}

func faultOf(resp *http.Response) error {
	fault := &api.Error{Status: resp.StatusCode}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxError))
	if err == nil && json.Unmarshal(raw, fault) == nil && fault.Message != "" {
		fault.Status = resp.StatusCode
		return fault
	}
	fault.Code, fault.Message = "unknown", fmt.Sprintf("the agent answered %s", resp.Status)
	return fault
}

// lines yields the values of an NDJSON answer. A break in the middle of the
// answer is an error, its end is not.
func lines[T any](ctx context.Context, c *Client, method, path string, in any) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var zero T
		resp, err := c.send(ctx, method, path, in, "")
		if err != nil {
			yield(zero, err)
			return
		}
		defer resp.Body.Close() //nolint:errcheck // read to its end or given up
		scan := bufio.NewScanner(resp.Body)
		scan.Buffer(make([]byte, 0, 64<<10), maxLine)
		for scan.Scan() {
			var v T
			if err := json.Unmarshal(scan.Bytes(), &v); err != nil {
				yield(zero, fmt.Errorf("line from the agent: %w", err))
				return
			}
			if !yield(v, nil) {
				return
			}
		}
		if err := scan.Err(); err != nil {
			yield(zero, c.transportError(ctx, fmt.Errorf("answer of the agent: %w", err)))
		}
	}
}
