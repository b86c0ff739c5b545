package cli

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) statsCommand() *cobra.Command {
	var how listing
	cmd := &cobra.Command{
		Use: "stats [RUN]", GroupID: groupApps,
		Short: "Show what running apps use, and what their networks refused",
		Long: `Show processor time, memory and processes of one running app or of all; bytes to
and from the app, open and held flows, names; and why frames and flows of it were
dropped or refused.`,
		Example:           "  consentry stats\n  consentry stats -w web",
		Args:              need(0, 1, "the run", "consentry stats web"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.repeated(cmd.Context(), how.watch, func(ctx context.Context, cl *client.Client) error {
				found, err := cl.Stats(ctx, strings.Join(args, ""))
				if err != nil {
					return err
				}
				return show(c, how, found, statsRows)
			})
		},
	}
	how.flags(cmd)
	return cmd
}

func statsRows(found []api.RunStats) [][]string {
	rows := [][]string{{"RUN", "CPU", "MEMORY", "PIDS", "NET IN", "NET OUT", "FLOWS", "HELD", "NAMES", "REFUSED"}}
	for _, s := range found {
		row := []string{s.Name, "-", "-", "-", "-", "-", "-", "-", "-", "-"}
		if s.Stats != nil {
			row[1], row[2], row[3] = s.CPU.Round(10e6).String(), size(s.Memory), strconv.FormatInt(s.PIDs, 10)
		}
		if n := s.Network; n != nil {
			row[4], row[5] = size(int64(n.BytesIn)), size(int64(n.BytesOut)) //nolint:gosec // counters
			row[6], row[7], row[8] = strconv.Itoa(n.Flows), strconv.Itoa(n.Held), strconv.Itoa(n.Names)
			row[9] = orDash(reasons(n.Drops))
		}
		rows = append(rows, row)
	}
	return rows
}

// reasons are why frames and flows were not served, with how often.
func reasons(drops map[string]uint64) string {
	var words []string
	for _, why := range slices.Sorted(maps.Keys(drops)) {
		words = append(words, why+" "+strconv.FormatUint(drops[why], 10))
	}
	return strings.Join(words, ", ")
}
