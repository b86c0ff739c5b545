package client

import (
	"context"
	"net/url"

	"github.com/consentry/consentry/agent/api"
)

// Learned returns what a run that was learned from asked for.
func (c *Client) Learned(ctx context.Context, run string) (l api.Learned, err error) {
	err = c.call(ctx, "GET", "/v1/learned/"+url.PathEscape(run), nil, &l)
	return l, err
}
