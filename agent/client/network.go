package client

import (
	"context"
	"io"
	"strconv"

	"github.com/consentry/consentry/agent/api"
)

// Flows lists the open and held flows of one run, or of all with "".
func (c *Client) Flows(ctx context.Context, ref string) (flows []api.Flow, err error) {
	err = c.call(ctx, "GET", "/v1/flows"+query("run", ref), nil, &flows)
	return flows, err
}

// Capture copies the frames of a run's network card to w, as a pcap file, until
// ctx ends, the run does, or most bytes were written; 0 is the agent's bound.
func (c *Client) Capture(ctx context.Context, ref string, most int64, w io.Writer) error {
	text := ""
	if most > 0 {
		text = strconv.FormatInt(most, 10)
	}
	resp, err := c.send(ctx, "GET", runPath(ref, "/capture")+query("max", text), nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	_, err = io.Copy(w, resp.Body)
	if ctx.Err() != nil {
		return nil // it was asked to end
	}
	return err
}
