package client

import (
	"context"

	"github.com/consentry/consentry/agent/api"
)

// Waivers lists the apps that run without a wall.
func (c *Client) Waivers(ctx context.Context) (list []api.Waiver, err error) {
	err = c.call(ctx, "GET", "/v1/waivers", nil, &list)
	return list, err
}

// Unwaive wants every wall for an app again, from its next start on.
func (c *Client) Unwaive(ctx context.Context, appID string) error {
	return c.call(ctx, "DELETE", "/v1/waivers"+query("app", appID), nil, nil)
}
