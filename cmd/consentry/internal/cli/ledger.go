package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) ledgerCommand() *cobra.Command {
	var q client.LedgerQuery
	var since string
	var json bool
	cmd := &cobra.Command{
		Use: "log", GroupID: groupConsent,
		Short:   "Show the ledger: what was asked, answered and used",
		Example: "  consentry log --since 1h\n  consentry log -f --kind net.connect --json\n  consentry log verify\n  consentry log export -o receipts.json",
		Args:    need(0, 0, "", "consentry log --since 1h"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if q.Since, err = parseSince(since, c.Now()); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				for line, err := range cl.Ledger(ctx, q) {
					if err == nil {
						err = c.printLedgerLine(line, json)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVarP(&q.Follow, "follow", "f", false, "go on with what is written from now on")
	flags.StringVar(&since, "since", "", "from a `TIME` on: 1h, 2026-11-24 or 2026-11-24T08:00:00Z")
	flags.StringVar(&q.App, "app", "", "lines of one `APP`")
	flags.StringVar(&q.Kind, "kind", "", "lines about one `KIND` of right")
	flags.BoolVar(&json, "json", false, "print NDJSON")
	cmd.AddCommand(c.verifyCommand(), c.exportCommand())
	return cmd
}

// parseSince reads a length of time before now, a day or a moment.
func parseSince(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	if t, err := time.ParseInLocation(time.DateOnly, text, now.Location()); err == nil {
		return t, nil
	}
	return time.Time{}, badFlag("--since", text, "neither a length of time nor a date", "--since 1h, or --since 2026-11-24")
}

func (c *cli) printLedgerLine(l api.LedgerLine, json bool) error {
	if json {
		return printLine(c.Out, l)
	}
	words := []string{fmt.Sprintf("%-6s", plain(l.Event))}
	if l.Verdict != "" {
		words = append(words, c.verdictWord(l.Verdict))
	}
	for _, word := range []string{l.App, l.Kind, l.Target, bytesInOut(l.In, l.Out)} {
		if word != "" {
			words = append(words, plain(word))
		}
	}
	if by := strings.TrimSpace(l.Source + " " + l.By); by != "" {
		words = append(words, c.out.dim("("+plain(by)+")"))
	}
	if l.Reason != "" {
		words = append(words, plain(quoted(l.Reason)))
	}
	_, err := fmt.Fprintf(c.Out, "%s %s  %s\n", c.out.dim(fmt.Sprintf("%6d", l.Seq)), l.Time.In(c.Now().Location()).Format(time.DateTime), strings.Join(words, " "))
	return err
}

func (c *cli) verdictWord(verdict string) string {
	word := fmt.Sprintf("%-5s", plain(verdict))
	switch verdict {
	case "allow":
		return c.out.green(word)
	case "deny":
		return c.out.red(word)
	}
	return word
}
