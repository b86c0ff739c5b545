package cli

import (
	"context"
	"errors"
	"io"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

// imageExport is a command of images.
func (c *cli) imageExport() *cobra.Command {
	var out string
	var ext4 bool
	cmd := &cobra.Command{
		Use: "export IMAGE -o FILE", Short: "Write an image's files to a tar archive or an ext4 file system",
		Example:           "  consentry images export docker.io/library/alpine -o alpine.tar\n  consentry images export --ext4 docker.io/library/alpine -o alpine.ext4",
		Args:              need(1, 1, "the image", "consentry images export docker.io/library/alpine -o alpine.tar"),
		ValidArgsFunction: c.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			form := api.ExportTar
			if ext4 {
				form = api.ExportExt4
			}
			if out == "" && c.out.terminal {
				return hinted("name a file with -o FILE, or send it on with |", errors.New("an archive is nothing for a terminal"))
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.toFile(out, func(w io.Writer) error { return cl.ExportImage(ctx, args[0], form, w) })
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to `FILE`, which must not be there yet")
	cmd.Flags().BoolVar(&ext4, "ext4", false, "an ext4 file system, as microVMs take it")
	return cmd
}
