package client

import (
	"context"

	"github.com/consentry/consentry/agent/api"
)

// Offline says whether every app is cut off from the network.
func (c *Client) Offline(ctx context.Context) (bool, error) {
	var o api.Offline
	err := c.call(ctx, "GET", "/v1/offline", nil, &o)
	return o.On, err
}

// SetOffline cuts every app off from the network, open flows included, or lets
// the rules decide again.
func (c *Client) SetOffline(ctx context.Context, o api.Offline) error {
	return c.call(ctx, "PUT", "/v1/offline", o, &o)
}
