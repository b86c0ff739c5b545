package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) volumeCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use: "volume", GroupID: groupImages, Aliases: []string{"volumes"},
		Short: "Keep what apps write: list, back up, restore volumes",
		Long: `Volumes outlive the apps that write to them: consentry run -v NAME:/path mounts
one. An image may ask for volumes of its own; they belong to its run, and go with
it at consentry run --rm and consentry rm -v.`,
		Example: "  consentry volume ls\n  consentry volume backup db -o db.tar",
	}
	cmd.AddCommand(c.volumeList(), c.volumeCreate(), c.volumeInspect(), c.volumeRemove(), c.volumePrune(), c.volumeBackup(), c.volumeRestore())
	return cmd
}

func (c *cli) volumeList() *cobra.Command {
	var json, quiet bool
	cmd := &cobra.Command{
		Use: "ls", Short: "List volumes with their sizes",
		Example: "  consentry volume ls",
		Args:    need(0, 0, "", "consentry volume ls"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				volumes, err := cl.Volumes(ctx)
				if err != nil {
					return err
				}
				return c.printVolumes(volumes, json, quiet)
			})
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "names only")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printVolumes(volumes []api.Volume, json, quiet bool) error {
	if json {
		return printJSON(c.Out, list(volumes))
	}
	rows := [][]string{{"VOLUME", "CREATED", "FILES", "SIZE", "RUNS"}}
	for _, v := range volumes {
		if quiet {
			fmt.Fprintln(c.Out, plain(v.Name))
			continue
		}
		rows = append(rows, []string{v.Name, ago(c.Now(), v.Created), strconv.FormatInt(v.Files, 10), size(v.Bytes), orDash(strings.Join(v.Runs, ","))})
	}
	if quiet {
		return nil
	}
	return table(c.Out, rows)
}

func (c *cli) volumeCreate() *cobra.Command {
	return &cobra.Command{
		Use: "create NAME", Short: "Make an empty volume",
		Example: "  consentry volume create db",
		Args:    need(1, 1, "the name", "consentry volume create db"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.each(cmd.Context(), args, func(ctx context.Context, cl *client.Client, name string) error {
				_, err := cl.CreateVolume(ctx, name)
				return err
			})
		},
	}
}

func (c *cli) volumeInspect() *cobra.Command {
	cmd := &cobra.Command{
		Use: "inspect VOLUME", Short: "Show everything about a volume, as JSON",
		Example:           "  consentry volume inspect db",
		Args:              need(1, 1, "the volume", "consentry volume inspect db"),
		ValidArgsFunction: c.completeVolumes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				v, err := cl.Volume(ctx, args[0])
				if err != nil {
					return err
				}
				return printJSON(c.Out, v)
			})
		},
	}
	cmd.Flags().Bool("json", true, "print JSON; there is no other form")
	return cmd
}

func (c *cli) volumeRemove() *cobra.Command {
	return &cobra.Command{
		Use: "rm VOLUME…", Short: "Remove volumes that no run has",
		Example:           "  consentry volume rm db",
		Args:              need(1, -1, "the volume", "consentry volume rm db"),
		ValidArgsFunction: c.completeVolumes,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.each(cmd.Context(), args, func(ctx context.Context, cl *client.Client, name string) error {
				return cl.RemoveVolume(ctx, name)
			})
		},
	}
}

func (c *cli) volumePrune() *cobra.Command {
	var all, json bool
	cmd := &cobra.Command{
		Use: "prune", Short: "Remove volumes that images asked for and no run has",
		Example: "  consentry volume prune",
		Args:    need(0, 0, "", "consentry volume prune"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				gone, err := cl.PruneVolumes(ctx, all)
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, gone)
				}
				for _, name := range gone.Names {
					fmt.Fprintln(c.Out, "removed "+plain(name))
				}
				_, err = fmt.Fprintf(c.Out, "%s, %s freed\n", plural(len(gone.Names), "volume"), size(gone.Bytes))
				return err
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that you named")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) volumeBackup() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "backup VOLUME", Short: "Write a volume to a tar archive",
		Long:              "Write a volume to a tar archive, owners included. An app that runs goes on writing\nmeanwhile: stop or pause it for a backup of one moment.",
		Example:           "  consentry volume backup db -o db.tar\n  consentry volume backup db | ssh other tar -x",
		Args:              need(1, 1, "the volume", "consentry volume backup db -o db.tar"),
		ValidArgsFunction: c.completeVolumes,
		RunE: func(cmd *cobra.Command, args []string) error {
			if out == "" && c.out.terminal {
				return hinted("name a file with -o FILE, or send it on with |", errors.New("an archive is nothing for a terminal"))
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.toFile(out, func(w io.Writer) error { return cl.BackupVolume(ctx, args[0], w) })
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, which must not be there yet")
	return cmd
}

func (c *cli) volumeRestore() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "restore NAME ARCHIVE.tar|-", Short: "Make a volume of a tar archive",
		Example: "  consentry volume restore db2 db.tar",
		Args:    need(2, 2, "the name or the archive", "consentry volume restore db2 db.tar"), //nolint:mnd // both
		RunE: func(cmd *cobra.Command, args []string) error {
			in := c.In
			if args[1] != "-" {
				f, err := os.Open(args[1])
				if err != nil {
					return hinted("give a file that consentry volume backup has written", fmt.Errorf("%s: %w", args[1], cause(err)))
				}
				defer f.Close() //nolint:errcheck // only read
				in = f
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				v, err := cl.RestoreVolume(ctx, args[0], in)
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, v)
				}
				_, err = fmt.Fprintf(c.Out, "%s  %s  %s\n", plain(v.Name), plural(int(v.Files), "file"), size(v.Bytes))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) completeVolumes(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		volumes, _ := cl.Volumes(ctx)
		for _, v := range volumes {
			n.add(v.Name, size(v.Bytes))
		}
	})
}
