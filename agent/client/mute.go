package client

import (
	"context"

	"github.com/consentry/consentry/agent/api"
)

// Mute denies an app all that no rule allows, without a question, or with undo
// asks again. It returns the rule given, or those taken back.
func (c *Client) Mute(ctx context.Context, r api.MuteRequest) (grants []api.Grant, err error) {
	err = c.call(ctx, "POST", "/v1/apps/mute", r, &grants)
	return grants, err
}
