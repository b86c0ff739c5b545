package client

import (
	"context"
	"io"

	"github.com/consentry/consentry/agent/api"
)

// Signers lists the keys that must sign images.
func (c *Client) Signers(ctx context.Context) (list []api.Signer, err error) {
	err = c.call(ctx, "GET", "/v1/signers", nil, &list)
	return list, err
}

// RemoveSigner asks for no signature of a repository any more.
func (c *Client) RemoveSigner(ctx context.Context, repository string) error {
	return c.call(ctx, "DELETE", "/v1/signers"+query("repository", repository), nil, nil)
}

// ExportImage writes the merged tree of an image to w (api.ExportTar and its kin).
func (c *Client) ExportImage(ctx context.Context, ref, form string, w io.Writer) error {
	return c.copyTo(ctx, w, "GET", "/v1/images/export"+query("ref", ref, "form", form))
}
