package client

import (
	"context"
	"errors"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// Purge has the agent end and remove all that it keeps, and waits until it
// answers no more. It may still be removing then: it holds its lock until it
// has ended.
func (c *Client) Purge(ctx context.Context) (p api.Purged, err error) {
	if err = c.call(ctx, "POST", "/v1/purge", nil, &p); err != nil {
		return p, err
	}
	for until := time.Now().Add(endTimeout); time.Now().Before(until); time.Sleep(pollEvery) {
		if _, err := c.Version(ctx); err != nil {
			return p, ctx.Err()
		}
	}
	return p, errors.New("the agent does not end")
}
