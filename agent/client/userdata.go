package client

import (
	"context"
	"net/url"

	"github.com/consentry/consentry/agent/api"
)

const (
	profilePath  = "/v1/profile"
	accountsPath = "/v1/accounts"
	secretsPath  = "/v1/secrets"
)

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

// Accounts lists where contacts and events come from.
func (c *Client) Accounts(ctx context.Context) (list []api.Account, err error) {
	err = c.call(ctx, "GET", accountsPath, nil, &list)
	return list, err
}

// AddAccount has the account read once and kept, if that works.
func (c *Client) AddAccount(ctx context.Context, account api.NewAccount) (added api.AddedAccount, err error) {
	err = c.call(ctx, "POST", accountsPath, account, &added)
	return added, err
}

// RemoveAccount forgets an account and its password.
func (c *Client) RemoveAccount(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", accountsPath+"/"+url.PathEscape(name), nil, nil)
}

// Secrets lists the secrets that apps may ask for, without their values.
func (c *Client) Secrets(ctx context.Context) (list []api.Secret, err error) {
	err = c.call(ctx, "GET", secretsPath, nil, &list)
	return list, err
}

// SetSecret keeps a secret, or replaces it.
func (c *Client) SetSecret(ctx context.Context, secret api.NewSecret) error {
	return c.call(ctx, "PUT", secretsPath, secret, nil)
}

// RemoveSecret forgets a secret and its value.
func (c *Client) RemoveSecret(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", secretsPath+"/"+url.PathEscape(name), nil, nil)
}
