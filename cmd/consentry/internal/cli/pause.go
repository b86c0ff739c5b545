package cli

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
)

func (c *cli) pauseCommand() *cobra.Command {
	return c.holdCommand("pause", "Hold apps where they are", (*client.Client).Pause)
}

func (c *cli) unpauseCommand() *cobra.Command {
	return c.holdCommand("unpause", "Let paused apps go on", (*client.Client).Unpause)
}

func (c *cli) holdCommand(word, short string, act func(*client.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use: word + " RUN…", GroupID: groupApps,
		Short:             short,
		Example:           "  consentry " + word + " web",
		Args:              need(1, -1, "the run", "consentry "+word+" web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.each(cmd.Context(), args, func(ctx context.Context, cl *client.Client, ref string) error {
				return act(cl, ctx, ref)
			})
		},
	}
}
