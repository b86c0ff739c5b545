package client

import (
	"context"
	"iter"

	"github.com/consentry/consentry/agent/api"
)

// Trace yields what an app touches until it ends.
func (c *Client) Trace(ctx context.Context, ref string) iter.Seq2[api.TraceLine, error] {
	return lines[api.TraceLine](ctx, c, "GET", runPath(ref, "/trace"), nil)
}
