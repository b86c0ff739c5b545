package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) psCommand() *cobra.Command {
	var all, json, quiet bool
	cmd := &cobra.Command{
		Use: "ps", GroupID: groupApps, Aliases: []string{"ls"},
		Short:   "List running apps",
		Example: "  consentry ps\n  consentry ps -a --json",
		Args:    need(0, 0, "", "consentry ps -a"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				runs, err := cl.Runs(ctx, all)
				if err != nil {
					return err
				}
				return c.printRuns(runs, json, quiet)
			})
		},
	}
	cmd.Flags().BoolVarP(&all, "all", "a", false, "also those that have ended")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "ids only")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printRuns(runs []api.Run, json, quiet bool) error {
	if json {
		return printJSON(c.Out, list(runs))
	}
	rows := [][]string{{"RUN ID", "APP", "COMMAND", "CREATED", "STATUS", "PORTS", "ASKS", "NAME"}}
	for _, r := range runs {
		if quiet {
			fmt.Fprintln(c.Out, plain(r.ID))
			continue
		}
		asks := "-"
		if r.Requests > 0 {
			asks = strconv.Itoa(r.Requests)
		}
		rows = append(rows, []string{
			shortID(r.ID), cut(r.Source, 40), cut(strconv.Quote(strings.Join(r.Command, " ")), 24),
			ago(c.Now(), r.Created), status(r, c.Now()), orDash(ports(r.Ports)), asks, r.Name,
		})
	}
	if quiet {
		return nil
	}
	return table(c.Out, rows)
}

func (c *cli) stopCommand() *cobra.Command {
	var wait int
	cmd := &cobra.Command{
		Use: "stop RUN…", GroupID: groupApps,
		Short:             "Ask apps to end, and end them after a while",
		Example:           "  consentry stop web\n  consentry stop -t 3 web bot",
		Args:              need(1, -1, "the run", "consentry stop web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.each(cmd.Context(), args, func(ctx context.Context, cl *client.Client, ref string) error {
				return cl.Stop(ctx, ref, time.Duration(wait)*time.Second)
			})
		},
	}
	cmd.Flags().IntVarP(&wait, "time", "t", -1, "`SECONDS` to wait before it is killed; -1 is the app's own")
	return cmd
}

func (c *cli) killCommand() *cobra.Command {
	var name string
	cmd := &cobra.Command{
		Use: "kill RUN…", GroupID: groupApps,
		Short:             "End apps at once, or send them a signal",
		Example:           "  consentry kill web\n  consentry kill -s HUP web",
		Args:              need(1, -1, "the run", "consentry kill web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := parseSignal(name)
			if err != nil {
				return err
			}
			return c.each(cmd.Context(), args, func(ctx context.Context, cl *client.Client, ref string) error {
				return cl.Kill(ctx, ref, number)
			})
		},
	}
	cmd.Flags().StringVarP(&name, "signal", "s", "KILL", "`SIGNAL` by name or Linux number")
	return cmd
}

func (c *cli) rmCommand() *cobra.Command {
	var force, volumes bool
	cmd := &cobra.Command{
		Use: "rm RUN…", GroupID: groupApps,
		Short:             "Remove runs that have ended",
		Example:           "  consentry rm web\n  consentry rm -f $(consentry ps -aq)",
		Args:              need(1, -1, "the run", "consentry rm web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.each(cmd.Context(), args, func(ctx context.Context, cl *client.Client, ref string) error {
				return cl.Remove(ctx, ref, force, volumes)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "end it first if it is running")
	cmd.Flags().BoolVarP(&volumes, "volumes", "v", false, "also the volumes that it had because of its image")
	return cmd
}

func (c *cli) inspectCommand() *cobra.Command {
	var offline bool
	cmd := &cobra.Command{
		Use: "inspect RUN|IMAGE|MODULE", GroupID: groupApps,
		Short:             "Show everything about a run, an image or a module, as JSON",
		Example:           "  consentry inspect web\n  consentry inspect docker.io/library/alpine",
		Args:              need(1, 1, "the run, the image or the module", "consentry inspect web"),
		ValidArgsFunction: c.completeRunsAndImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				detail, err := cl.Inspect(ctx, args[0])
				if err == nil {
					return printJSON(c.Out, detail)
				}
				if !isNotFound(err) {
					return err
				}
				image, imageErr := cl.Image(ctx, args[0], !offline)
				if isNotFound(imageErr) {
					return hinted("consentry ps -a lists runs, consentry images lists images", fmt.Errorf("no run, no image and no module is called %q", args[0]))
				}
				if imageErr != nil {
					return imageErr
				}
				return printJSON(c.Out, image)
			})
		},
	}
	cmd.Flags().Bool("json", true, "print JSON; there is no other form")
	cmd.Flags().BoolVar(&offline, "offline", false, "do not ask an image's registry for signatures, SBOMs and provenance")
	return cmd
}

func isNotFound(err error) bool {
	var fault *api.Error
	return errors.As(err, &fault) && fault.Code == "not-found"
}

func (c *cli) logsCommand() *cobra.Command {
	var follow, times, json bool
	cmd := &cobra.Command{
		Use: "logs [-f] RUN", GroupID: groupApps,
		Short:             "Show what an app wrote",
		Example:           "  consentry logs -f web",
		Args:              need(1, 1, "the run", "consentry logs -f web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.logs(ctx, cl, args[0], logFlags{follow, times, json})
			})
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the app ends")
	cmd.Flags().BoolVarP(&times, "timestamps", "t", false, "put the time before each piece")
	cmd.Flags().BoolVar(&json, "json", false, "print NDJSON")
	return cmd
}

type logFlags struct{ follow, times, json bool }

func (c *cli) logs(ctx context.Context, cl *client.Client, ref string, f logFlags) error {
	out, flushOut := c.cleanOn(c.Out, c.out)
	errs, flushErr := c.cleanOn(c.Err, c.err)
	defer flushOut()
	defer flushErr()
	for line, err := range cl.Logs(ctx, ref, f.follow) {
		if err != nil {
			return err
		}
		if f.json {
			if err := printLine(c.Out, line); err != nil {
				return err
			}
			continue
		}
		w := out
		if line.Stream == "stderr" {
			w = errs
		}
		if f.times {
			fmt.Fprint(w, line.Time.Format(time.RFC3339Nano)+" ")
		}
		if _, err := w.Write(line.Data); err != nil {
			return err
		}
	}
	return nil
}

// with connects and calls f.
func (c *cli) with(ctx context.Context, f func(context.Context, *client.Client) error) error {
	cl, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	defer c.warn(cl)
	return f(ctx, cl)
}

// each calls f for every word, prints those that went well and complains about
// the others, as docker does.
func (c *cli) each(ctx context.Context, words []string, f func(context.Context, *client.Client, string) error) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		failed := 0
		for _, word := range words {
			err := f(ctx, cl, word)
			if err == nil {
				fmt.Fprintln(c.Out, plain(word))
				continue
			}
			failed++
			if failed == 1 && len(words) == 1 {
				return err
			}
			c.complain(err)
		}
		if failed > 0 {
			return exitCode(exitFault)
		}
		return nil
	})
}

// list is never null in JSON.
func list[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
