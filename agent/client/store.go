package client

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/consentry/consentry/agent/api"
)

// Alert is why the agent denies everything, as its last answer said; "" if it
// does not.
func (c *Client) Alert() string {
	if text := c.alert.Load(); text != nil {
		return *text
	}
	return ""
}

// keepAlert reads the header of an answer.
func (c *Client) keepAlert(header string) {
	text, err := strconv.Unquote(header)
	if err != nil {
		text = "" // no alert
	}
	c.alert.Store(&text)
}

// ResetStore puts a damaged consent store aside and waits until the agent, which
// ends after it, serves the old one no more.
func (c *Client) ResetStore(ctx context.Context) (r api.Reset, err error) {
	if err = c.call(ctx, "POST", "/v1/store/reset", nil, &r); err != nil {
		return r, err
	}
	for until := time.Now().Add(endTimeout); time.Now().Before(until) && ctx.Err() == nil; time.Sleep(pollEvery) {
		if _, err := c.Version(ctx); err != nil || c.Alert() == "" {
			break
		}
	}
	c.alert.Store(nil)
	return r, nil
}

// endTimeout is how long an agent may take to end its runs.
const endTimeout = 20 * time.Second

// ExportLedger writes what the agent exports in the form to w. After an error
// what was written is worth nothing.
func (c *Client) ExportLedger(ctx context.Context, form string, q LedgerQuery, w io.Writer) error {
	resp, err := c.send(ctx, "GET", "/v1/log/export"+query("form", form, "app", q.App, "kind", q.Kind, "since", q.since()), nil, "")
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read to its end or given up
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("export of the ledger: %w", err)
	}
	return nil
}

func (q LedgerQuery) since() string {
	if q.Since.IsZero() {
		return ""
	}
	return q.Since.UTC().Format(time.RFC3339)
}

func (q LedgerQuery) limit() string {
	if q.Newest == 0 {
		return ""
	}
	return strconv.Itoa(q.Newest)
}
