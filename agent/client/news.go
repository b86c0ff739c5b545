package client

import (
	"context"
	"iter"

	"github.com/consentry/consentry/agent/api"
)

// News yields what has changed, beginning with everything, until ctx ends or
// the agent does.
func (c *Client) News(ctx context.Context) iter.Seq2[api.News, error] {
	return lines[api.News](ctx, c, "GET", "/v1/news", nil)
}
