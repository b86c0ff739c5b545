package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/internal/browse"
)

func (c *cli) consoleCommand() *cobra.Command {
	var json, show, code bool
	cmd := &cobra.Command{
		Use: "console [PAGE]", GroupID: groupConsent,
		Short: "Open what apps ask for and were given in your browser",
		Long: `Open the console in your browser: what apps ask for, what they were given, what
they use, and your profile. The agent serves it on this computer only, while
somebody looks at it. PAGE is apps, flows, log, system or add.

The browser comes in by a file that only you can read and that works once, for
30 seconds. A browser that may not read it (one installed as a snap, or on
another computer, through ssh -L) comes in by --code.`,
		Example: "  consentry console\n  consentry console apps\n  consentry console --code",
		Args:    need(0, 1, "", "consentry console apps"),
		RunE: func(cmd *cobra.Command, args []string) error {
			req := api.ConsoleRequest{Code: code}
			if len(args) == 1 {
				req.Page = args[0]
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				way, err := cl.Console(ctx, req)
				switch {
				case err != nil:
					return err
				case json:
					return printJSON(c.Out, way)
				case code:
					_, err = fmt.Fprintf(c.Out, "open   %s\ncode   %s   (works once, for %d seconds)\n", way.URL, way.Code, way.Seconds)
					return err
				case show:
					_, err = fmt.Fprintln(c.Out, plain(way.File))
					return err
				}
				if err := browse.Open(ctx, way.File); err != nil {
					return hinted("use: consentry console --code", fmt.Errorf("open the browser: %w", err))
				}
				return nil
			})
		},
	}
	cmd.Flags().BoolVar(&show, "print", false, "print the file that leads in, and open nothing")
	cmd.Flags().BoolVar(&code, "code", false, "print an address and a code to type there, and open nothing")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON, and open nothing")
	cmd.MarkFlagsMutuallyExclusive("print", "code")
	cmd.ValidArgsFunction = cobra.FixedCompletions([]string{"apps", "flows", "log", "system", "add"}, cobra.ShellCompDirectiveNoFileComp)
	return cmd
}
