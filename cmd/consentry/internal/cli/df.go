package cli

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) dfCommand() *cobra.Command {
	var how listing
	cmd := &cobra.Command{
		Use: "df", GroupID: groupImages,
		Short:   "Show what takes how much of the disk, and how to free it",
		Example: "  consentry df",
		Args:    need(0, 0, "", "consentry df"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.repeated(cmd.Context(), how.watch, func(ctx context.Context, cl *client.Client) error {
				found, err := cl.DiskUse(ctx)
				if err != nil {
					return err
				}
				return show(c, how, found, diskRows)
			})
		},
	}
	how.flags(cmd)
	return cmd
}

func diskRows(found []api.DiskUse) [][]string {
	rows := [][]string{{"WHAT", "COUNT", "NEEDED", "SIZE", "SHARED", "FREE WITH", ""}}
	for _, d := range found {
		row := []string{d.What, strconv.Itoa(d.Count), strconv.Itoa(d.Active), size(d.Bytes), "-", "-", ""}
		if d.Shared > 0 {
			row[4] = size(d.Shared)
		}
		if d.Reclaimable > 0 && d.Remedy != "" {
			row[5], row[6] = size(d.Reclaimable), d.Remedy
		}
		rows = append(rows, row)
	}
	return rows
}
