package cli

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) signersCommand() *cobra.Command {
	var json bool
	var remove string
	cmd := &cobra.Command{
		Use: "signers [--rm REPOSITORY]", GroupID: groupImages,
		Short: "Show which keys must sign which images",
		Long: `Show the keys given with consentry run --verify KEY or pull --verify KEY. Every
image of such a repository must be signed by its key, also an update; what you
allow the app is bound to the key.`,
		Example: "  consentry signers\n  consentry signers --rm docker.io/library/web",
		Args:    need(0, 0, "", "consentry signers"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if remove != "" {
					return cl.RemoveSigner(ctx, remove)
				}
				found, err := cl.Signers(ctx)
				if err != nil {
					return err
				}
				return show(c, listing{json: json}, found, signerRows)
			})
		},
	}
	cmd.Flags().StringVar(&remove, "rm", "", "ask for no signature of this `REPOSITORY` any more")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func signerRows(found []api.Signer) [][]string {
	rows := [][]string{{"REPOSITORY", "KEY"}}
	for _, s := range found {
		rows = append(rows, []string{s.Repository, "sha256:" + s.ID})
	}
	return rows
}

// maxKeyFile bounds a key, in bytes.
const maxKeyFile = 64 << 10

// keyFile reads the key that --verify names; "" is none.
func keyFile(name string) (string, error) {
	if name == "" {
		return "", nil
	}
	f, err := os.Open(name)
	if err != nil {
		return "", hinted("give the file of a public key, such as cosign.pub", fmt.Errorf("--verify %s: %w", name, cause(err)))
	}
	defer f.Close() //nolint:errcheck // only read
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile))
	if err != nil {
		return "", fmt.Errorf("--verify %s: %w", name, cause(err))
	}
	return string(raw), nil
}
