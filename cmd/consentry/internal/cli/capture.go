package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
)

func (c *cli) captureCommand() *cobra.Command {
	var out, most string
	cmd := &cobra.Command{
		Use: "capture RUN -o FILE.pcap|-", GroupID: groupApps,
		Short: "Write down what crosses an app's own network card",
		Long: `Write every frame of the app's network card into a pcap file, for Wireshark and
tcpdump, until Ctrl-C, the end of the app, or the bound. It has the app's own
traffic and nothing else, with the names and made-up addresses that the app sees.`,
		Example:           "  consentry capture web -o web.pcap\n  consentry capture web -o - | tcpdump -r -",
		Args:              need(1, 1, "the run", "consentry capture web -o web.pcap"),
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			bound := int64(0)
			if most != "" {
				var err error
				if bound, err = parseMemory(most); err != nil {
					return badFlag("--max", most, "not a size", "--max 100m")
				}
			}
			return c.capture(cmd.Context(), args[0], out, bound)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "`FILE` to write, or - for standard output")
	cmd.Flags().StringVar(&most, "max", "", "end at this `SIZE`, such as 100m")
	return cmd
}

func (c *cli) capture(ctx context.Context, ref, out string, bound int64) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
	defer stop()
	switch {
	case out == "":
		return hinted("for example: consentry capture "+ref+" -o "+ref+".pcap", errors.New("-o FILE is missing"))
	case out == "-" && c.out.terminal:
		return hinted("write into a file, or into a pipe: | tcpdump -r -", errors.New("a capture is not for a terminal"))
	}
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		if out == "-" {
			return cl.Capture(ctx, ref, bound, c.Out)
		}
		file, err := os.OpenFile(out, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("capture: %w", err)
		}
		return errors.Join(cl.Capture(ctx, ref, bound, file), file.Close())
	})
}
