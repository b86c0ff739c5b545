package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) presetsCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "presets", GroupID: groupConsent,
		Short: "List sets of rules that can be given to an app at once",
		Long: `Presets are plain files of rules. consentry presets show prints one; a copy of it
in the folder that consentry doctor calls home, as presets/NAME.rules, takes its
place. consentry run --preset gives one for a run, consentry grants apply from
now on.`,
		Example: "  consentry presets\n  consentry presets show offline\n  consentry run --preset offline ./tool.wasm",
		Args:    need(0, 0, "", "consentry presets show offline"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				presets, err := cl.Presets(ctx)
				if err != nil {
					return err
				}
				return c.printPresets(presets, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.AddCommand(c.presetShowCommand())
	return cmd
}

func (c *cli) printPresets(presets []api.Preset, json bool) error {
	if json {
		return printJSON(c.Out, list(presets))
	}
	rows := [][]string{{"NAME", "RULES", "WHOSE", "ABOUT"}}
	for _, p := range presets {
		whose, about := "built in", p.About
		if p.Own {
			whose = "yours"
		}
		if p.Error != "" {
			about = "cannot be used: " + strings.ReplaceAll(p.Error, "\n", "; ")
		}
		rows = append(rows, []string{p.Name, fmt.Sprint(p.Rules), whose, cut(about, 60)})
	}
	return table(c.Out, rows)
}

func (c *cli) presetShowCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "show NAME", Short: "Print a preset, as a file that can be edited",
		Example:           "  consentry presets show offline",
		Args:              need(1, 1, "the name of a preset", "consentry presets show offline"),
		ValidArgsFunction: c.completePresets,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				p, err := cl.Preset(ctx, args[0])
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, p)
				}
				_, err = fmt.Fprint(c.Out, plainLines(p.Text))
				return err
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) completePresets(cmd *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return c.completeGrantApps(cmd, nil, word)
	}
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		presets, _ := cl.Presets(ctx)
		for _, p := range presets {
			n.add(p.Name, p.About)
		}
	})
}
