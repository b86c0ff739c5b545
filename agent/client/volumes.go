package client

import (
	"context"
	"io"
	"net/url"

	"github.com/consentry/consentry/agent/api"
)

// Volumes lists the named volumes.
func (c *Client) Volumes(ctx context.Context) (list []api.Volume, err error) {
	err = c.call(ctx, "GET", "/v1/volumes", nil, &list)
	return list, err
}

// Volume returns one volume.
func (c *Client) Volume(ctx context.Context, name string) (v api.Volume, err error) {
	err = c.call(ctx, "GET", volumePath(name, ""), nil, &v)
	return v, err
}

// CreateVolume makes an empty volume.
func (c *Client) CreateVolume(ctx context.Context, name string) (v api.Volume, err error) {
	err = c.call(ctx, "POST", "/v1/volumes", api.VolumeRequest{Name: name}, &v)
	return v, err
}

// RemoveVolume removes a volume that no run has.
func (c *Client) RemoveVolume(ctx context.Context, name string) error {
	return c.call(ctx, "DELETE", volumePath(name, ""), nil, nil)
}

// PruneVolumes removes volumes that images asked for and no run has; with all
// also those that the user named.
func (c *Client) PruneVolumes(ctx context.Context, all bool) (r api.RemovedVolumes, err error) {
	err = c.call(ctx, "POST", "/v1/volumes/prune"+query("all", flag(all)), nil, &r)
	return r, err
}

// BackupVolume writes a volume to w as a tar stream. After an error w holds a
// part of it.
func (c *Client) BackupVolume(ctx context.Context, name string, w io.Writer) error {
	return c.copyTo(ctx, w, "GET", volumePath(name, "/backup"))
}

// RestoreVolume makes a volume of a tar stream.
func (c *Client) RestoreVolume(ctx context.Context, name string, r io.Reader) (v api.Volume, err error) {
	err = c.call(ctx, "PUT", volumePath(name, "/restore"), r, &v)
	return v, err
}

// DiskUse says what takes how much of the disk.
func (c *Client) DiskUse(ctx context.Context) (list []api.DiskUse, err error) {
	err = c.call(ctx, "GET", "/v1/df", nil, &list)
	return list, err
}

func volumePath(name, rest string) string { return "/v1/volumes/" + url.PathEscape(name) + rest }
