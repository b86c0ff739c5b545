package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) muteCommand() *cobra.Command {
	return c.muting("mute", false, "Stop asking for an app: what no rule allows is denied",
		"%s is not asked about any more: what no rule allows is denied; consentry unmute asks again\n")
}

func (c *cli) unmuteCommand() *cobra.Command {
	return c.muting("unmute", true, "Ask about an app again", "%s is asked about again\n")
}

func (c *cli) muting(verb string, undo bool, short, done string) *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: verb + " APP", GroupID: groupConsent, Short: short,
		Example:           "  consentry " + verb + " docker.io/library/app",
		Args:              need(1, 1, "the app", "consentry "+verb+" docker.io/library/app"),
		ValidArgsFunction: c.completeGrantApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			app, err := appOrPath(args[0])
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				grants, err := cl.Mute(ctx, api.MuteRequest{App: app, Undo: undo, By: "cli"})
				switch {
				case err != nil:
					return err
				case json:
					return printJSON(c.Out, list(grants))
				case len(grants) == 0:
					_, err = fmt.Fprintf(c.Out, "%s was not muted\n", plain(app))
				default:
					_, err = fmt.Fprintf(c.Out, done, plain(grants[0].App))
				}
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}
