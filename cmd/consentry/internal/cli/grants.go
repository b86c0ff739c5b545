package cli

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) grantsCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "grants [APP]", GroupID: groupConsent,
		Short:             "List what was allowed and denied",
		Example:           "  consentry grants\n  consentry grants docker.io/library/app --json",
		Args:              need(0, 1, "", "consentry grants docker.io/library/app"),
		ValidArgsFunction: c.completeGrantApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			app := ""
			if len(args) == 1 {
				app = args[0]
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				app, err := appOrPath(app)
				if err != nil {
					return err
				}
				grants, err := cl.Grants(ctx, app)
				if err != nil {
					return err
				}
				if err := c.printGrants(grants, json); err != nil || json || app != "" {
					return err
				}
				return c.hintWaivers(ctx, cl)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.AddCommand(c.exportRulesCommand(), c.importCommand(), c.applyCommand())
	return cmd
}

func (c *cli) printGrants(grants []api.Grant, json bool) error {
	if json {
		return printJSON(c.Out, list(grants))
	}
	rows := [][]string{{"ID", "APP", "VERDICT", "KIND", "TARGET", "LASTS", "SINCE", "USED", "BY"}}
	for _, g := range grants {
		used := "never"
		if g.Uses > 0 {
			used = strconv.FormatInt(g.Uses, 10) + "×, " + ago(c.Now(), g.Used)
		}
		rows = append(rows, []string{
			g.ID, cut(g.App, 40), g.Verdict, g.Kind, g.Target + shapeWords(g.Shape), lasts(g, c.Now()),
			ago(c.Now(), g.Since), used, g.By,
		})
	}
	return table(c.Out, rows)
}

func (c *cli) revokeCommand() *cobra.Command {
	var app string
	var all, json bool
	cmd := &cobra.Command{
		Use: "revoke ID… | --app APP | --all", GroupID: groupConsent,
		Short: "Take back what was allowed or denied",
		Long: `Take rules back. What an app has open because of them is cut within a second;
from then on it is asked about again.`,
		Example:           "  consentry revoke 4c1f\n  consentry revoke --app docker.io/library/app\n  consentry revoke --all",
		ValidArgsFunction: c.completeGrants,
		RunE: func(cmd *cobra.Command, args []string) error {
			ids, err := revoked(args, app, all)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				var gone []api.Grant
				for _, id := range ids {
					grants, err := cl.Revoke(ctx, id)
					if err != nil {
						return err
					}
					gone = append(gone, grants...)
				}
				return c.printRevoked(gone, json)
			})
		},
	}
	cmd.Flags().StringVar(&app, "app", "", "all rules of an `APP`")
	cmd.Flags().BoolVar(&all, "all", false, "all rules of all apps")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

// revoked are the ids for the agent; exactly one way of naming them is used.
func revoked(args []string, app string, all bool) ([]string, error) {
	ways := 0
	for _, used := range []bool{len(args) > 0, app != "", all} {
		if used {
			ways++
		}
	}
	if ways != 1 {
		return nil, hinted("for example: consentry revoke 4c1f, or: consentry revoke --app docker.io/library/app",
			fmt.Errorf("want the ids of rules, or --app, or --all, and only one of them"))
	}
	switch {
	case all:
		return []string{"all"}, nil
	case app != "":
		return []string{"app:" + app}, nil
	}
	return args, nil
}

func (c *cli) printRevoked(grants []api.Grant, json bool) error {
	if json {
		return printJSON(c.Out, list(grants))
	}
	for _, g := range grants {
		fmt.Fprintf(c.Out, "revoked %s: %s %s %s for %s\n", plain(g.ID), plain(g.Verdict), plain(g.Kind), plain(g.Target), plain(g.App))
		if g.Notice != "" {
			fmt.Fprintf(c.Out, "  %s\n  stop it with: consentry stop; or let it go on with: consentry unpause\n", plain(g.Notice))
		}
	}
	if len(grants) == 0 {
		fmt.Fprintln(c.Out, "there was no such rule")
	}
	return nil
}

func (c *cli) whyCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "why APP TARGET", GroupID: groupConsent,
		Short:             "Explain what would happen to a request",
		Example:           "  consentry why docker.io/library/app tcp/api.example.com:443",
		Args:              need(2, 2, "the app or the target", "consentry why docker.io/library/app tcp/api.example.com:443"),
		ValidArgsFunction: c.completeGrantApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				app, err := appOrPath(args[0])
				if err != nil {
					return err
				}
				why, err := cl.Why(ctx, app, args[1])
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, why)
				}
				return c.printWhy(why)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printWhy(w api.Why) error {
	verdict := map[string]string{"allow": c.out.green("allowed"), "deny": c.out.red("denied"), "ask": c.out.yellow("asked about")}[w.Verdict]
	fmt.Fprintf(c.Out, "%s %s: %s\n", plain(w.App), plain(w.Target), orElse(verdict, plain(w.Verdict)))
	if w.Text != "" {
		fmt.Fprintf(c.Out, "  %s\n", plain(w.Text))
	}
	if r := w.Rule; r != nil {
		fmt.Fprintf(c.Out, "  the rule: %s %s %s, %s, given %s by %s\n", c.out.bold(plain(r.Verdict)), plain(r.Kind), c.out.bold(plain(r.Target)),
			lifetime(r.Lifetime, r.Expires, c.Now()), ago(c.Now(), r.Since), plain(orDash(r.By)))
		fmt.Fprintf(c.Out, "  take it back with: consentry revoke %s\n", plain(r.ID))
	}
	return nil
}
