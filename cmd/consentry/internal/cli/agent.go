package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/sandbox"
)

func (c *cli) agentCommand() *cobra.Command {
	var foreground, debug bool
	cmd := &cobra.Command{
		Use: "agent", GroupID: groupSelf,
		Short: "Start the agent, which runs the apps",
		Long: `Start the agent in the background. Other commands do so by themselves; with
--foreground it stays here and logs to standard error.`,
		Example: "  consentry agent\n  consentry agent --foreground",
		Args:    need(0, 0, "", "consentry agent --foreground"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if c.Agent == nil {
				return fmt.Errorf("this build of consentry has no agent in it: %w", sandbox.ErrNotSupported)
			}
			if foreground {
				return c.serve(debug)
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				v, err := cl.Version(ctx)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(c.Out, "the agent is running: version %s, process %d\n", plain(v.Version), v.PID)
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&foreground, "foreground", false, "stay here and log to standard error")
	cmd.Flags().BoolVar(&debug, "debug", false, "log more")
	return cmd
}

// serve turns this process into the agent.
func (c *cli) serve(debug bool) error {
	program, err := c.agentProgram()
	if err != nil {
		return err
	}
	if debug {
		return become(c.Streams, program, "--debug")
	}
	return become(c.Streams, program)
}

// agentProgram is the agent's program, if it is there.
func (c *cli) agentProgram() (string, error) {
	program, err := c.Agent()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(program); err != nil {
		return "", hinted("consentry and consentry-agent belong into one folder: install both", fmt.Errorf("the agent's program: %w", err))
	}
	return program, nil
}
