package client

import (
	"context"
	"iter"
	"net/url"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// Version of the agent that runs.
func (c *Client) Version(ctx context.Context) (v api.Version, err error) {
	err = c.call(ctx, "GET", "/v1/version", nil, &v)
	return v, err
}

// Doctor says what the machine can do.
func (c *Client) Doctor(ctx context.Context) (d api.Doctor, err error) {
	err = c.call(ctx, "GET", "/v1/doctor", nil, &d)
	return d, err
}

// Runs lists the running apps, with all also those that ended.
func (c *Client) Runs(ctx context.Context, all bool) (runs []api.Run, err error) {
	err = c.call(ctx, "GET", "/v1/runs"+query("all", flag(all)), nil, &runs)
	return runs, err
}

// Inspect returns everything about one run.
func (c *Client) Inspect(ctx context.Context, ref string) (d api.RunDetail, err error) {
	err = c.call(ctx, "GET", runPath(ref, ""), nil, &d)
	return d, err
}

// Remove removes a run that has ended; force ends it first, volumes removes
// those that it had because of its image.
func (c *Client) Remove(ctx context.Context, ref string, force, volumes bool) error {
	return c.call(ctx, "DELETE", runPath(ref, "")+query("force", flag(force), "volumes", flag(volumes)), nil, nil)
}

// Stop asks an app to end and waits for it. A negative grace is the app's own.
func (c *Client) Stop(ctx context.Context, ref string, grace time.Duration) error {
	return c.call(ctx, "POST", runPath(ref, "/stop"), api.StopRequest{Grace: grace}, nil)
}

// Kill sends a signal, by its Linux number; 0 is SIGKILL.
func (c *Client) Kill(ctx context.Context, ref string, signal int) error {
	return c.call(ctx, "POST", runPath(ref, "/kill"), api.KillRequest{Signal: signal}, nil)
}

// Pause holds an app where it is.
func (c *Client) Pause(ctx context.Context, ref string) error {
	return c.call(ctx, "POST", runPath(ref, "/pause"), struct{}{}, nil)
}

// Unpause lets a paused app go on.
func (c *Client) Unpause(ctx context.Context, ref string) error {
	return c.call(ctx, "POST", runPath(ref, "/unpause"), struct{}{}, nil)
}

// Stats says what a run uses now; with "" all that run.
func (c *Client) Stats(ctx context.Context, ref string) (stats []api.RunStats, err error) {
	err = c.call(ctx, "GET", "/v1/stats"+query("run", ref), nil, &stats)
	return stats, err
}

// Logs yields what an app wrote, and with follow what it goes on to write.
func (c *Client) Logs(ctx context.Context, ref string, follow bool) iter.Seq2[api.LogLine, error] {
	return lines[api.LogLine](ctx, c, "GET", runPath(ref, "/logs")+query("follow", flag(follow)), nil)
}

// Images lists what is stored.
func (c *Client) Images(ctx context.Context) (images []api.Image, err error) {
	err = c.call(ctx, "GET", "/v1/images", nil, &images)
	return images, err
}

// Image returns one stored image with its configuration; with attachments its
// registry is asked what it has beside it.
func (c *Client) Image(ctx context.Context, ref string, attachments bool) (image api.Image, err error) {
	err = c.call(ctx, "GET", "/v1/images/inspect"+query("ref", ref, "attachments", flag(attachments)), nil, &image)
	return image, err
}

// RemoveImage removes a stored image.
func (c *Client) RemoveImage(ctx context.Context, ref string, force bool) (r api.RemovedImages, err error) {
	err = c.call(ctx, "DELETE", "/v1/images"+query("ref", ref, "force", flag(force)), nil, &r)
	return r, err
}

// Pull fetches an image; the last value has the Image or the Error.
func (c *Client) Pull(ctx context.Context, r api.PullRequest) iter.Seq2[api.Progress, error] {
	return lines[api.Progress](ctx, c, "POST", "/v1/images/pull", r)
}

// Prune removes the images that nothing uses.
func (c *Client) Prune(ctx context.Context) (r api.RemovedImages, err error) {
	err = c.call(ctx, "POST", "/v1/images/prune", nil, &r)
	return r, err
}

// Requests lists what waits for an answer.
func (c *Client) Requests(ctx context.Context) (prompts []api.Prompt, err error) {
	err = c.call(ctx, "GET", "/v1/requests", nil, &prompts)
	return prompts, err
}

// Answer answers one request.
func (c *Client) Answer(ctx context.Context, id string, a api.AnswerRequest) error {
	return c.call(ctx, "POST", "/v1/requests/"+url.PathEscape(id), a, nil)
}

// Grants lists rules; app "" means of all apps.
func (c *Client) Grants(ctx context.Context, app string) (grants []api.Grant, err error) {
	err = c.call(ctx, "GET", "/v1/grants"+query("app", app), nil, &grants)
	return grants, err
}

// AddGrant writes a rule without a prompt and returns it as it was stored.
func (c *Client) AddGrant(ctx context.Context, g api.Grant) (stored api.Grant, err error) {
	err = c.call(ctx, "POST", "/v1/grants", g, &stored)
	return stored, err
}

// Revoke takes a rule back; id may be "app:APP" or "all". It returns those
// that were taken back.
func (c *Client) Revoke(ctx context.Context, id string) (grants []api.Grant, err error) {
	err = c.call(ctx, "DELETE", "/v1/grants/"+url.PathEscape(id), nil, &grants)
	return grants, err
}

// Why explains what would happen to a request.
func (c *Client) Why(ctx context.Context, app, target string) (w api.Why, err error) {
	err = c.call(ctx, "GET", "/v1/why"+query("app", app, "target", target), nil, &w)
	return w, err
}

// LedgerQuery chooses lines of the ledger; zero members choose nothing.
type LedgerQuery struct {
	Since     time.Time
	App, Kind string
	Newest    int // that many lines at most, the newest; 0: the agent's bound
	Follow    bool
}

// Ledger yields lines of the ledger, oldest first.
func (c *Client) Ledger(ctx context.Context, q LedgerQuery) iter.Seq2[api.LedgerLine, error] {
	path := "/v1/log" + query("app", q.App, "kind", q.Kind, "since", q.since(), "follow", flag(q.Follow), "limit", q.limit())
	return lines[api.LedgerLine](ctx, c, "GET", path, nil)
}

// VerifyLedger proves the chain of the ledger.
func (c *Client) VerifyLedger(ctx context.Context) (v api.Verified, err error) {
	err = c.call(ctx, "GET", "/v1/log/verify", nil, &v)
	return v, err
}

func runPath(ref, rest string) string { return "/v1/runs/" + url.PathEscape(ref) + rest }

func flag(on bool) string {
	if on {
		return "1"
	}
	return ""
}

// query encodes name, value, name, value …, without those that are empty.
func query(pairs ...string) string {
	values := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			values.Set(pairs[i], pairs[i+1])
		}
	}
	if len(values) == 0 {
		return ""
	}
	return "?" + values.Encode()
}

// CheckManifest says what there is to change in a manifest.
func (c *Client) CheckManifest(ctx context.Context, r api.ManifestCheck) (f api.ManifestFindings, err error) {
	err = c.call(ctx, "POST", "/v1/manifests/check", r, &f)
	return f, err
}
