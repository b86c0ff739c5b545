package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) diffCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "diff RUN", GroupID: groupApps,
		Short:             "Show what an app changed of its image",
		Long:              "Show what an app added (A), changed (C) and deleted (D) of its image's files.",
		Example:           "  consentry diff web",
		Args:              need(1, 1, "the run", "consentry diff web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				found, err := cl.Changes(ctx, args[0])
				if err != nil {
					return err
				}
				return c.printChanges(found, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printChanges(found []api.Change, json bool) error {
	if json {
		return printJSON(c.Out, list(found))
	}
	for _, change := range found {
		if _, err := fmt.Fprintf(c.Out, "%s %s\n", change.Kind, plain(change.Path)); err != nil {
			return err
		}
	}
	return nil
}

func (c *cli) snapshotCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "snapshot", GroupID: groupApps,
		Short: "Keep what an app wrote, and go back to it",
		Long: `A snapshot is the state of what an app wrote over its image; volumes are not in it.
An app that runs is held for the moment. To go back, stop the app first.`,
		Example: "  consentry snapshot create web before-update\n  consentry snapshot restore web before-update",
	}
	cmd.AddCommand(c.snapshotCreate(), c.snapshotList(), c.snapshotDiff(),
		c.snapshotAct("restore", "Put an app that has ended back to a snapshot", (*client.Client).RestoreSnapshot),
		c.snapshotAct("rm", "Remove a snapshot", (*client.Client).RemoveSnapshot))
	return cmd
}

func (c *cli) snapshotCreate() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "create RUN [NAME]", Short: "Keep what an app has written so far",
		Example:           "  consentry snapshot create web before-update",
		Args:              need(1, 2, "the run", "consentry snapshot create web"), //nolint:mnd // and the name
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			name := ""
			if len(args) > 1 {
				name = args[1]
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				s, err := cl.CreateSnapshot(ctx, args[0], name)
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, s)
				}
				_, err = fmt.Fprintf(c.Out, "%s  %s\n", plain(s.Name), size(s.Bytes))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) snapshotList() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "ls RUN", Short: "List the snapshots of an app",
		Example:           "  consentry snapshot ls web",
		Args:              need(1, 1, "the run", "consentry snapshot ls web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				found, err := cl.Snapshots(ctx, args[0])
				if err != nil {
					return err
				}
				return show(c, listing{json: json}, found, func(found []api.Snapshot) [][]string {
					rows := [][]string{{"SNAPSHOT", "CREATED", "SIZE"}}
					for _, s := range found {
						rows = append(rows, []string{s.Name, ago(c.Now(), s.Created), size(s.Bytes)})
					}
					return rows
				})
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) snapshotDiff() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "diff RUN NAME", Short: "Show what an app changed since a snapshot",
		Example:           "  consentry snapshot diff web before-update",
		Args:              need(2, 2, "the run or the snapshot", "consentry snapshot diff web before-update"), //nolint:mnd // both
		ValidArgsFunction: c.completeSnapshots,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				found, err := cl.SnapshotChanges(ctx, args[0], args[1])
				if err != nil {
					return err
				}
				return c.printChanges(found, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) snapshotAct(word, short string, act func(*client.Client, context.Context, string, string) error) *cobra.Command {
	example := "consentry snapshot " + word + " web before-update"
	return &cobra.Command{
		Use: word + " RUN NAME", Short: short,
		Example:           "  " + example,
		Args:              need(2, 2, "the run or the snapshot", example), //nolint:mnd // both
		ValidArgsFunction: c.completeSnapshots,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return act(cl, ctx, args[0], args[1])
			})
		},
	}
}

// completeSnapshots offers runs, then the snapshots of the one that was chosen.
func (c *cli) completeSnapshots(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) != 1 {
		return c.completeRuns(cmd, args, word)
	}
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		found, _ := cl.Snapshots(ctx, args[0])
		for _, s := range found {
			n.add(s.Name, size(s.Bytes))
		}
	})
}
