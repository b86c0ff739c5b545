package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"

	"github.com/consentry/consentry/agent/api"
)

// Stream is one upgraded call (see api.StreamProtocol). Next belongs to one
// goroutine; Send may be called by several.
type Stream struct {
	conn io.ReadWriteCloser
	buf  []byte

	mu   sync.Mutex // one frame at a time
	once sync.Once
	err  error
}

// Run starts an app.
func (c *Client) Run(ctx context.Context, r api.RunRequest) (*Stream, error) {
	return c.stream(ctx, "/v1/runs", r)
}

// Start starts a run that has ended once more; with attach the stream follows it
// to its end.
func (c *Client) Start(ctx context.Context, ref string, attach bool) (*Stream, error) {
	return c.stream(ctx, runPath(ref, "/start")+query("attach", flag(attach)), nil)
}

// Attach joins a running app.
func (c *Client) Attach(ctx context.Context, ref string) (*Stream, error) {
	return c.stream(ctx, runPath(ref, "/attach"), nil)
}

// Exec runs another process inside a running app.
func (c *Client) Exec(ctx context.Context, ref string, r api.ExecRequest) (*Stream, error) {
	return c.stream(ctx, runPath(ref, "/exec"), r)
}

// stream makes the call. ctx ends the wait for the agent's answer; the stream
// itself is ended by Close.
func (c *Client) stream(ctx context.Context, path string, in any) (*Stream, error) {
	resp, err := c.send(ctx, "POST", path, in, api.StreamProtocol)
	if err != nil {
		return nil, err
	}
	conn, ok := resp.Body.(io.ReadWriteCloser)
	if resp.StatusCode != http.StatusSwitchingProtocols || !ok {
		return nil, errors.Join(fmt.Errorf("the agent answered %s and no stream", resp.Status), resp.Body.Close())
	}
	return NewStream(conn), nil
}

// NewStream speaks frames over an open connection.
func NewStream(conn io.ReadWriteCloser) *Stream {
	return &Stream{conn: conn, buf: make([]byte, api.MaxFrame)}
}

// Next returns the next frame; its payload is valid until the next call. io.EOF
// means that the agent ended the stream.
func (s *Stream) Next() (api.FrameType, []byte, error) { return api.ReadFrame(s.conn, s.buf) }

// Send writes one frame; it blocks while the agent does not read.
func (s *Stream) Send(kind api.FrameType, payload []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return api.WriteFrame(s.conn, kind, payload)
}

// SendJSON writes v as one frame.
func (s *Stream) SendJSON(kind api.FrameType, v any) error {
	payload, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return s.Send(kind, payload)
}

// Close ends the stream; Next and Send return.
func (s *Stream) Close() error {
	s.once.Do(func() { s.err = s.conn.Close() })
	return s.err
}
