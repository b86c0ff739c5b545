package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
)

func (c *cli) waiversCommand() *cobra.Command {
	var json bool
	var remove string
	cmd := &cobra.Command{
		Use: "waivers [--rm APP-ID]", GroupID: groupConsent,
		Short:   "Show which apps run without a wall, or want it again",
		Example: "  consentry waivers\n  consentry waivers --rm sha256:0123…",
		Args:    need(0, 0, "", "consentry waivers"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if remove != "" {
					return cl.Unwaive(ctx, remove)
				}
				return c.printWaivers(ctx, cl, json)
			})
		},
	}
	cmd.Flags().StringVar(&remove, "rm", "", "want every wall again for the app with this `APP-ID`, from its next start on")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

// hintWaivers says that some rules are in the other list: what an app may do
// without is no right that it was given.
func (c *cli) hintWaivers(ctx context.Context, cl *client.Client) error {
	list, err := cl.Waivers(ctx)
	if err != nil || len(list) == 0 {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "without a wall: %s; see consentry waivers\n", plural(len(list), "app"))
	return err
}

func (c *cli) printWaivers(ctx context.Context, cl *client.Client, json bool) error {
	list, err := cl.Waivers(ctx)
	if err != nil {
		return err
	}
	if json {
		return printJSON(c.Out, list)
	}
	for _, w := range list {
		fmt.Fprintf(c.Out, "%s  without %s\n", plain(w.AppID), plain(strings.Join(w.Walls, ", ")))
	}
	return nil
}
