package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/ipc"
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
			if c.RunAgent == nil {
				return fmt.Errorf("this build of consentry has no agent in it: %w", sandbox.ErrNotSupported)
			}
			if foreground {
				return c.serve(cmd.Context(), debug)
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

// serve runs the agent in this process until a signal ends it.
func (c *cli) serve(ctx context.Context, debug bool) error {
	ctx, stop := signal.NotifyContext(ctx, agentSignals...)
	defer stop()
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(c.Err, &slog.HandlerOptions{Level: level}))
	return c.RunAgent(ctx, os.Getenv(ipc.HomeEnv), log)
}
