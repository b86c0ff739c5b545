package cli

import (
	"context"
	"fmt"

	"github.com/consentry/consentry/agent/client"
)

// warn says that everything is denied, whatever the command was about.
func (c *cli) warn(cl *client.Client) {
	alert := cl.Alert()
	if alert == "" {
		return
	}
	fmt.Fprintf(c.Err, "%s %s\n", c.err.red("consentry: alert:"), plainLines(alert))
	fmt.Fprintf(c.Err, "%s consentry doctor says more\n", c.err.bold("hint:"))
}

func (c *cli) resetStore(ctx context.Context, cl *client.Client, json bool) error {
	r, err := cl.ResetStore(ctx)
	if err != nil {
		return err
	}
	if json {
		return printJSON(c.Out, r)
	}
	_, err = fmt.Fprintf(c.Out, "the damaged store is kept in %s\nno app has any grant now; the agent has ended, and the next command starts it again\n", plain(r.Kept))
	return err
}
