package cli

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) appCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "app APP", GroupID: groupConsent,
		Short:             "Show everything one app was given, used and refused",
		Example:           "  consentry app docker.io/library/app",
		Args:              need(1, 1, "the app", "consentry app docker.io/library/app"),
		ValidArgsFunction: c.completeGrantApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			app, err := appOrPath(args[0])
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				o, err := cl.Overview(ctx, app)
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, o)
				}
				return c.printOverview(o)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printOverview(o api.AppOverview) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", c.out.bold(plain(o.App)))
	who := "nobody vouches for it: what it has holds for this file only"
	if o.Publisher != "" {
		who = "from " + plain(voucher(o.Publisher)) + ", " + c.out.green("verified")
	}
	fmt.Fprintf(&b, "  publisher  %s\n", who)
	if o.Digest != "" {
		fmt.Fprintf(&b, "  digest     %s\n", plain(shortDigest(o.Digest)))
	}
	if len(o.Running) > 0 {
		fmt.Fprintf(&b, "  running    %s\n", plain(strings.Join(o.Running, ", ")))
	}
	if !o.Reviewed.IsZero() {
		fmt.Fprintf(&b, "  manifest   %s, reviewed %s\n", plural(o.Lines, "line"), ago(c.Now(), o.Reviewed))
	}
	if o.Muted {
		fmt.Fprintf(&b, "  muted      %s; consentry unmute %s asks again\n", c.out.yellow("what no rule allows is denied without a question"), plain(o.App))
	}
	c.writeGrants(&b, o.Grants)
	c.writeRefused(&b, o.Refused)
	for i, p := range o.Waiting {
		if i == 0 {
			fmt.Fprintf(&b, "\n%s\n", c.out.bold("Waits for your answer"))
		}
		fmt.Fprintf(&b, "  %s  %s, asked %s\n", plain(p.ID), plain(p.Title), ago(c.Now(), p.Asked))
	}
	_, err := fmt.Fprint(c.Out, b.String())
	return err
}

func (c *cli) writeGrants(b *strings.Builder, grants []api.Grant) {
	rows := [][]string{{"ID", "VERDICT", "KIND", "TARGET", "LASTS", "GIVEN", "BY", "USED"}}
	for _, g := range grants {
		used := "never"
		if g.Uses > 0 {
			used = strconv.FormatInt(g.Uses, 10) + "×, " + ago(c.Now(), g.Used)
		}
		rows = append(rows, []string{g.ID, g.Verdict, g.Kind, g.Target, lifetime(g.Lifetime, g.Expires, c.Now()), ago(c.Now(), g.Since), g.By, used})
	}
	c.section(b, "Rules", rows, "It was given nothing and denied nothing.")
}

func (c *cli) writeRefused(b *strings.Builder, refused []api.Refusal) {
	words := map[string]string{
		"hold": "nobody answered", "no-input": "asking was off", "flood": "it asked too much", "rule": "a rule",
		"fault": "not a request that can be given", "once": "your answer, once", "run": "your answer, for a run",
		"time": "your answer, for a time", "always": "your answer, always",
	}
	rows := [][]string{{"KIND", "TARGET", "TIMES", "LAST", "BECAUSE OF"}}
	for _, r := range refused {
		rows = append(rows, []string{r.Kind, r.Target, fmt.Sprint(r.Count), ago(c.Now(), r.Last), orElse(words[r.Source], r.Source)})
	}
	c.section(b, "Refused", rows, "It was refused nothing.")
}

// section is a head and a table, or a sentence where there is nothing to show.
func (c *cli) section(b *strings.Builder, head string, rows [][]string, none string) {
	fmt.Fprintf(b, "\n%s\n", c.out.bold(head))
	if len(rows) == 1 {
		fmt.Fprintf(b, "  %s\n", none)
		return
	}
	_ = table(b, rows) // a strings.Builder takes everything
}
