package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
)

// profileCommand is what the user says about themself: the source of the
// identity that apps may ask for.
func (c *cli) profileCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "profile", GroupID: groupConsent,
		Short:   "Show or change what apps may ask about you",
		Example: "  consentry profile\n  consentry profile set email=ada@example.org name='Ada Lovelace'\n  consentry profile set name=",
		Args:    need(0, 0, "", "consentry profile"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				profile, err := cl.Profile(ctx)
				if err != nil {
					return err
				}
				return c.printProfile(profile, json)
			})
		},
	}
	cmd.PersistentFlags().BoolVar(&json, "json", false, "print JSON")
	cmd.AddCommand(&cobra.Command{
		Use:   "set FIELD=VALUE...",
		Short: "Change fields; an empty value takes one out",
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			change := map[string]string{}
			for _, arg := range args {
				field, value, ok := strings.Cut(arg, "=")
				if !ok {
					return fmt.Errorf("%q is not FIELD=VALUE; for example: consentry profile set email=ada@example.org", arg)
				}
				change[field] = value
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				profile, err := cl.SetProfile(ctx, change)
				if err != nil {
					return err
				}
				return c.printProfile(profile, json)
			})
		},
	})
	return cmd
}

func (c *cli) printProfile(profile map[string]string, json bool) error {
	if json {
		return printJSON(c.Out, profile)
	}
	if len(profile) == 0 {
		_, err := fmt.Fprintln(c.Out, "nothing is filled in; for example: consentry profile set email=ada@example.org")
		return err
	}
	for _, field := range slices.Sorted(maps.Keys(profile)) {
		if _, err := fmt.Fprintf(c.Out, "%-10s %s\n", field, profile[field]); err != nil {
			return err
		}
	}
	return nil
}
