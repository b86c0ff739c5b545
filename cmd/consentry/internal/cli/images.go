package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) imagesCommand() *cobra.Command {
	var json, quiet bool
	cmd := &cobra.Command{
		Use: "images", GroupID: groupImages,
		Short:   "List stored images and modules",
		Example: "  consentry images\n  consentry images --json",
		Args:    need(0, 0, "", "consentry images"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				images, err := cl.Images(ctx)
				if err != nil {
					return err
				}
				return c.printImages(images, json, quiet)
			})
		},
	}
	cmd.AddCommand(c.imageExport())
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "references only")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printImages(images []api.Image, json, quiet bool) error {
	if json {
		return printJSON(c.Out, list(images))
	}
	rows := [][]string{{"IMAGE", "DIGEST", "FORMAT", "PLATFORM", "PULLED", "SIZE"}}
	for _, i := range images {
		if quiet {
			fmt.Fprintln(c.Out, plain(i.Ref))
			continue
		}
		rows = append(rows, []string{i.Ref, shortDigest(i.Digest), i.Format, orDash(i.Platform), ago(c.Now(), i.Pulled), size(i.Size)})
	}
	if quiet {
		return nil
	}
	return table(c.Out, rows)
}

func (c *cli) pullCommand() *cobra.Command {
	var platform, verify string
	var json, quiet bool
	cmd := &cobra.Command{
		Use: "pull IMAGE|MODULE", GroupID: groupImages,
		Short:   "Fetch an image or a module without running it",
		Example: "  consentry pull docker.io/library/alpine\n  consentry pull --platform linux/arm64 ./app.tar\n  consentry pull registry.example/tools/tool:1",
		Args:    need(1, 1, "the image or the module", "consentry pull docker.io/library/alpine"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if platform != "" && !platformRule().MatchString(platform) {
				return badFlag("--platform", platform, "want system/processor", "--platform linux/arm64")
			}
			cwd, err := os.Getwd()
			if err != nil {
				return fmt.Errorf("find the current folder: %w", err)
			}
			ref, err := source(args[0], cwd)
			if err != nil {
				return err
			}
			key, err := keyFile(verify)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				image, err := c.pull(ctx, cl, api.PullRequest{Source: ref, Platform: platform, Verify: key, Pull: "always"}, json || quiet)
				if err != nil {
					return err
				}
				if json {
					return printJSON(c.Out, image)
				}
				_, err = fmt.Fprintf(c.Out, "%s  %s  %s\n", plain(image.Ref), plain(shortDigest(image.Digest)), size(image.Size))
				return err
			})
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "platform of the image, such as linux/arm64")
	cmd.Flags().StringVar(&verify, "verify", "", "it must be signed by the key in this `FILE`, now and later")
	cmd.Flags().BoolVar(&json, "json", false, "print the image as JSON, no progress")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "no progress")
	return cmd
}

func (c *cli) pull(ctx context.Context, cl *client.Client, r api.PullRequest, silent bool) (api.Image, error) {
	show := c.progressOn(silent)
	defer show.stop()
	for p, err := range cl.Pull(ctx, r) {
		switch {
		case err != nil:
			return api.Image{}, err
		case p.Error != nil:
			return api.Image{}, p.Error
		case p.Image != nil:
			return *p.Image, nil
		}
		show.update(p)
	}
	return api.Image{}, errors.New("the agent ended the pull and did not say how it went")
}

func (c *cli) rmiCommand() *cobra.Command {
	var force, json bool
	cmd := &cobra.Command{
		Use: "rmi IMAGE|MODULE…", GroupID: groupImages,
		Short:             "Remove stored images and modules",
		Example:           "  consentry rmi docker.io/library/alpine",
		Args:              need(1, -1, "the image", "consentry rmi docker.io/library/alpine"),
		ValidArgsFunction: c.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				var sum api.RemovedImages
				for _, ref := range args {
					removed, err := cl.RemoveImage(ctx, ref, force)
					if err != nil {
						return err
					}
					sum.Refs, sum.Bytes = append(sum.Refs, removed.Refs...), sum.Bytes+removed.Bytes
				}
				return c.printRemoved(sum, json)
			})
		},
	}
	cmd.Flags().BoolVarP(&force, "force", "f", false, "also if an ended run still needs it")
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) pruneCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "prune", GroupID: groupImages,
		Short:   "Remove the images and modules that no run needs",
		Example: "  consentry prune",
		Args:    need(0, 0, "", "consentry prune"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				removed, err := cl.Prune(ctx)
				if err != nil {
					return err
				}
				return c.printRemoved(removed, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printRemoved(r api.RemovedImages, json bool) error {
	if json {
		r.Refs = list(r.Refs)
		return printJSON(c.Out, r)
	}
	for _, ref := range r.Refs {
		fmt.Fprintln(c.Out, "removed "+plain(ref))
	}
	_, err := fmt.Fprintf(c.Out, "%d removed, %s freed\n", len(r.Refs), size(r.Bytes))
	return err
}
