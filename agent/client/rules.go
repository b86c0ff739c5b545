package client

import (
	"context"
	"net/url"

	"github.com/consentry/consentry/agent/api"
)

// Presets lists the presets, without their text.
func (c *Client) Presets(ctx context.Context) (presets []api.Preset, err error) {
	err = c.call(ctx, "GET", "/v1/presets", nil, &presets)
	return presets, err
}

// Preset returns one with its text.
func (c *Client) Preset(ctx context.Context, name string) (preset api.Preset, err error) {
	err = c.call(ctx, "GET", "/v1/presets/"+url.PathEscape(name), nil, &preset)
	return preset, err
}

// ExportGrants returns rules as text; app "" means of all apps.
func (c *Client) ExportGrants(ctx context.Context, app string) (string, error) {
	var text api.RuleText
	err := c.call(ctx, "GET", "/v1/grants/export"+query("app", app), nil, &text)
	return text.Text, err
}

// ImportGrants says what an import would do or, with r.Apply, does it.
func (c *Client) ImportGrants(ctx context.Context, r api.ImportRequest) (plan api.ImportPlan, err error) {
	err = c.call(ctx, "POST", "/v1/grants/import", r, &plan)
	return plan, err
}

// Overview sums up what one app was given and refused.
func (c *Client) Overview(ctx context.Context, app string) (o api.AppOverview, err error) {
	err = c.call(ctx, "GET", "/v1/apps/overview"+query("app", app), nil, &o)
	return o, err
}
