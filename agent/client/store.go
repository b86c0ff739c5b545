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

// ResetStore puts a damaged consent store aside; the agent ends after it.
func (c *Client) ResetStore(ctx context.Context) (r api.Reset, err error) {
	err = c.call(ctx, "POST", "/v1/store/reset", nil, &r)
	return r, err
}

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
