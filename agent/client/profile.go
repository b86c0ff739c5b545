package client

import "context"

const profilePath = "/v1/profile"

// Profile returns what the user filled in about themself.
func (c *Client) Profile(ctx context.Context) (profile map[string]string, err error) {
	err = c.call(ctx, "GET", profilePath, nil, &profile)
	return profile, err
}

// SetProfile changes the given fields, all or none; "" takes one out. It
// returns the whole profile.
func (c *Client) SetProfile(ctx context.Context, change map[string]string) (profile map[string]string, err error) {
	err = c.call(ctx, "PUT", profilePath, change, &profile)
	return profile, err
}
