package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

// watchEvery is how often -w looks again.
const watchEvery = time.Second

// listing is how a list that changes is shown.
type listing struct{ json, watch bool }

func (l *listing) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&l.json, "json", false, "print JSON; with -w a line each time")
	cmd.Flags().BoolVarP(&l.watch, "watch", "w", false, "show it again every second, until Ctrl-C")
}

// show prints what was found, once.
func show[T any](c *cli, l listing, found []T, rows func([]T) [][]string) error {
	switch {
	case l.json && l.watch:
		return printLine(c.Out, list(found))
	case l.json:
		return printJSON(c.Out, list(found))
	}
	return table(c.Out, rows(found))
}

func (c *cli) flowsCommand() *cobra.Command {
	var how listing
	cmd := &cobra.Command{
		Use: "flows [RUN]", GroupID: groupApps,
		Short: "Show the connections of running apps, open and waiting",
		Long: `Show the connections of one running app or of all: to whom, by which grant, how
many bytes to and from the app, and those that wait for your answer.`,
		Example:           "  consentry flows\n  consentry flows -w web",
		Args:              need(0, 1, "the run", "consentry flows web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.repeated(cmd.Context(), how.watch, func(ctx context.Context, cl *client.Client) error {
				found, err := cl.Flows(ctx, strings.Join(args, ""))
				if err != nil {
					return err
				}
				return show(c, how, found, c.flowRows)
			})
		},
	}
	how.flags(cmd)
	return cmd
}

func (c *cli) flowRows(found []api.Flow) [][]string {
	rows := [][]string{{"RUN", "", "PEER", "ADDRESS", "STATE", "GRANT", "IN", "OUT", "AGE"}}
	for _, f := range found {
		arrow, peer, grant := "->", f.Network+"/"+hostPort(f.Host, f.Port), strings.Join(f.Grants, ", ")
		switch {
		case f.Direction == "in":
			arrow, peer, grant = "<-", f.Host+" to port "+strconv.Itoa(int(f.Port)), "published"
		case f.State == "held":
			grant = "asked"
		case grant == "":
			grant = "once"
		}
		where := f.Address
		if f.Via != "" {
			where = "via " + f.Via
		}
		rows = append(rows, []string{
			f.RunName, arrow, peer, orDash(where), f.State, grant, size(f.In), size(f.Out), span(c.Now().Sub(f.Began)),
		})
	}
	return rows
}

func hostPort(host string, port uint16) string {
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(port))
}

// repeated calls show once, or with watch again and again until Ctrl-C.
func (c *cli) repeated(ctx context.Context, watch bool, show func(context.Context, *client.Client) error) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		if !watch {
			return show(ctx, cl)
		}
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		for {
			if c.out.terminal {
				fmt.Fprint(c.Out, "\x1b[H\x1b[2J") // from the top of an empty screen
			}
			if err := show(ctx, cl); err != nil {
				if ctx.Err() != nil {
					return nil //nolint:nilerr // it was asked to end
				}
				return err
			}
			select {
			case <-time.After(watchEvery):
			case <-ctx.Done():
				return nil
			}
		}
	})
}
