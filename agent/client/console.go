package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/consentry/consentry/agent/api"
)

// Console returns a way into the console that works once.
func (c *Client) Console(ctx context.Context, r api.ConsoleRequest) (console api.Console, err error) {
	err = c.call(ctx, "POST", "/v1/console", r, &console)
	return console, err
}

// Launch starts a run that has ended once more and leaves it alone. If its
// manifest has to be reviewed first, Launch waits for that; the start is given
// up when ctx ends before.
func (c *Client) Launch(ctx context.Context, ref string) error {
	s, err := c.Start(ctx, ref, false)
	if err != nil {
		return err
	}
	return started(ctx, s, ref)
}

// Add starts an app for the first time and leaves it alone. It waits as Launch
// does, and for the image.
func (c *Client) Add(ctx context.Context, source string) error {
	s, err := c.Run(ctx, api.RunRequest{Source: source, Detach: true, PublishAll: true})
	if err != nil {
		return err
	}
	return started(ctx, s, source)
}

// started reads a stream until the app runs.
func started(ctx context.Context, s *Stream, ref string) error {
	defer s.Close() //nolint:errcheck // its last word was read
	defer context.AfterFunc(ctx, func() { s.Close() })()
	for {
		kind, payload, err := s.Next()
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF):
			return fmt.Errorf("start %s: the agent ended the stream", ref)
		case err != nil:
			return fmt.Errorf("start %s: %w", ref, err)
		case kind == api.FrameStarted:
			return nil
		case kind == api.FrameError:
			fault := &api.Error{}
			if err := json.Unmarshal(payload, fault); err != nil {
				return fmt.Errorf("start %s: %w", ref, err)
			}
			return fault
		}
	}
}
