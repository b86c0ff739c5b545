package client

import (
	"context"
	"io"
	"net/url"

	"github.com/consentry/consentry/agent/api"
)

// Changes lists what an app changed of its image.
func (c *Client) Changes(ctx context.Context, ref string) (list []api.Change, err error) {
	err = c.call(ctx, "GET", runPath(ref, "/changes"), nil, &list)
	return list, err
}

// CopyOut writes a file or tree of an app to w, as a tar stream whose first
// entry has the last part of the path for its name.
func (c *Client) CopyOut(ctx context.Context, ref, path string, w io.Writer) error {
	return c.copyTo(ctx, w, "GET", runPath(ref, "/files")+query("path", path))
}

// CopyIn unpacks a tar stream in a directory of an app.
func (c *Client) CopyIn(ctx context.Context, ref, dir string, r io.Reader) error {
	return c.call(ctx, "PUT", runPath(ref, "/files")+query("path", dir), r, nil)
}

// Snapshots lists the kept states of an app, oldest first.
func (c *Client) Snapshots(ctx context.Context, ref string) (list []api.Snapshot, err error) {
	err = c.call(ctx, "GET", runPath(ref, "/snapshots"), nil, &list)
	return list, err
}

// CreateSnapshot keeps what an app has written so far; name may be "".
func (c *Client) CreateSnapshot(ctx context.Context, ref, name string) (s api.Snapshot, err error) {
	err = c.call(ctx, "POST", runPath(ref, "/snapshots"), api.SnapshotRequest{Name: name}, &s)
	return s, err
}

// RestoreSnapshot puts an app that has ended back to a kept state.
func (c *Client) RestoreSnapshot(ctx context.Context, ref, name string) error {
	return c.call(ctx, "POST", snapshotPath(ref, name, "/restore"), struct{}{}, nil)
}

// SnapshotChanges lists what an app changed since a snapshot.
func (c *Client) SnapshotChanges(ctx context.Context, ref, name string) (list []api.Change, err error) {
	err = c.call(ctx, "GET", snapshotPath(ref, name, "/changes"), nil, &list)
	return list, err
}

// RemoveSnapshot removes a snapshot.
func (c *Client) RemoveSnapshot(ctx context.Context, ref, name string) error {
	return c.call(ctx, "DELETE", snapshotPath(ref, name, ""), nil, nil)
}

func snapshotPath(ref, name, rest string) string {
	return runPath(ref, "/snapshots/"+url.PathEscape(name)+rest)
}
