package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) traceCommand() *cobra.Command {
	var denied, json bool
	cmd := &cobra.Command{
		Use: "trace [--denied] RUN", GroupID: groupConsent,
		Short: "Show live what an app touches: files, sockets, programs",
		Long: `Show each call of an app as the kernel judges it, until the app ends or you
press Ctrl-C. Denials that nobody looked at come first. Where the kernel loads no
LSM programs only sockets, devices and sysctls are seen. consentry log keeps what
was asked and used.`,
		Example:           "  consentry trace web\n  consentry trace --denied --json web",
		Args:              need(1, 1, "the run", "consentry trace web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.trace(ctx, cl, args[0], denied, json)
			})
		},
	}
	cmd.Flags().BoolVar(&denied, "denied", false, "only what was denied")
	cmd.Flags().BoolVar(&json, "json", false, "print NDJSON")
	return cmd
}

func (c *cli) trace(ctx context.Context, cl *client.Client, ref string, denied, json bool) error {
	for line, err := range cl.Trace(ctx, ref) {
		if err != nil {
			return err
		}
		if denied && line.Call != "" && !line.Denied && line.Lost == 0 {
			continue
		}
		if json {
			err = printLine(c.Out, line)
		} else {
			err = c.printTrace(line)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) printTrace(line api.TraceLine) error {
	if line.Lost > 0 {
		fmt.Fprintln(c.Out, c.out.yellow(fmt.Sprintf("%d events of this machine's apps were lost; their verdicts were not", line.Lost)))
	}
	if line.Note != "" {
		fmt.Fprintln(c.Out, c.out.yellow(plain(line.Note)))
	}
	if line.Call == "" {
		return nil
	}
	mark := c.tick(!line.Denied)
	_, err := fmt.Fprintf(c.Out, "%s %s %7d %-15s %-6s %s %s\n", line.Time.Local().Format("15:04:05.000"), mark,
		line.PID, plain(line.Comm), plain(line.Wall), plain(line.Call), plain(line.Detail))
	return err
}
