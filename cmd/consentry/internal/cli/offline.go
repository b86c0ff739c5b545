package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) offlineCommand() *cobra.Command {
	return c.offlining("offline", true, "Cut every app off from the network", `Cut every app off from the network: open connections are reset, new ones are denied
without a question, whatever the rules say. It stays so, also when the agent or the
computer starts anew, until: consentry online. Apps go on otherwise, and you
still reach their published ports.`, "every app is offline; consentry online ends it")
}

func (c *cli) onlineCommand() *cobra.Command {
	return c.offlining("online", false, "Let the rules decide about the network again", "", "the rules decide about the network again")
}

func (c *cli) offlining(verb string, on bool, short, long, done string) *cobra.Command {
	return &cobra.Command{
		Use: verb, GroupID: groupConsent, Short: short, Long: long,
		Example: "  consentry " + verb,
		Args:    need(0, 0, "", "consentry "+verb),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if err := cl.SetOffline(ctx, api.Offline{On: on, By: "cli"}); err != nil {
					return err
				}
				_, err := fmt.Fprintln(c.Out, done)
				return err
			})
		},
	}
}
