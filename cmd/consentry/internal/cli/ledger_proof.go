package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/consent/chain"
)

const hintChanged = "trust no line from there on; keep a copy of the store before anything else"

func (c *cli) verifyCommand() *cobra.Command {
	var json bool
	var key string
	cmd := &cobra.Command{
		Use:   "verify [FILE]",
		Short: "Prove that no line of the ledger was changed or removed",
		Long: `Prove that no line of the ledger was changed or removed. FILE is one of
consentry log export --form chain, perhaps of another computer; it is proved
here, without an agent, and --key says whose it must be.`,
		Example: "  consentry log verify\n  consentry log verify ledger.ndjson --key 9f86…",
		Args:    need(0, 1, "", "consentry log verify"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return c.verifyFile(args[0], key, json)
			}
			if key != "" {
				return badFlag("--key", key, "the agent knows its own key", "consentry log verify FILE --key KEY")
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				v, err := cl.VerifyLedger(ctx)
				if err != nil {
					return err
				}
				return c.printVerified(v, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.Flags().StringVar(&key, "key", "", "the public `KEY` that FILE must be signed with")
	return cmd
}

func (c *cli) printVerified(v api.Verified, json bool) (err error) {
	if json {
		err = printJSON(c.Out, v)
	} else if v.OK {
		_, err = fmt.Fprintf(c.Out, "%s the ledger is whole: %s\n", c.out.green("✓"), plural(int(v.Lines), "line")) //nolint:gosec // a count
	}
	if err != nil || v.OK {
		return err
	}
	if json {
		return exitCode(exitFault)
	}
	return hinted(hintChanged, fmt.Errorf("the ledger was changed: %s (%s are whole)", v.Detail, plural(int(v.Lines), "line"))) //nolint:gosec // a count
}

func (c *cli) verifyFile(path, key string, json bool) error {
	f, err := os.Open(path)
	if err != nil {
		return hinted("make one with: consentry log export --form chain -o FILE", err)
	}
	defer f.Close()
	proof, err := chain.Verify(f, key, nil)
	v := api.Verified{OK: err == nil, Lines: proof.Last + 1 - proof.First}
	if err != nil {
		v.Detail = err.Error()
	}
	if err := c.printVerified(v, json); err != nil || json {
		return err
	}
	_, err = fmt.Fprintf(c.Out, "lines %d to %d, signed with the key %s\n", proof.First, proof.Last, plain(proof.Key))
	return err
}

func (c *cli) exportCommand() *cobra.Command {
	var q client.LedgerQuery
	var since, form, file string
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Write the ledger as consent receipts, or whole and signed",
		Long: `Write the answers in the ledger as consent receipts (JSON with the names of
ISO/IEC TS 27560), or with --form chain every line, signed, so that anybody who
has the public key can prove them with consentry log verify FILE.`,
		Example: "  consentry log export --app page -o receipts.json\n  consentry log export --form chain -o ledger.ndjson",
		Args:    need(0, 0, "", "consentry log export -o receipts.json"),
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if form != api.FormReceipts && form != api.FormChain {
				return badFlag("--form", form, "there is no such form", "--form "+api.FormChain)
			}
			if q.Since, err = parseSince(since, c.Now()); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				return c.toFile(file, func(w io.Writer) error { return cl.ExportLedger(ctx, form, q, w) })
			})
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&form, "form", api.FormReceipts, "`receipts` or chain")
	flags.StringVarP(&file, "output", "o", "", "write to `FILE`, which must not be there yet")
	flags.StringVar(&since, "since", "", "receipts from a `TIME` on: 1h, 2026-11-24 or 2026-11-24T08:00:00Z")
	flags.StringVar(&q.App, "app", "", "receipts of one `APP`")
	flags.StringVar(&q.Kind, "kind", "", "receipts about one `KIND` of right")
	return cmd
}

// toFile has write write to a new file, which is gone again after an error; ""
// is standard output.
func (c *cli) toFile(path string, write func(io.Writer) error) (err error) {
	if path == "" {
		return write(c.Out)
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return hinted("give another name with -o", err)
	}
	out := bufio.NewWriter(f)
	err = write(out)
	if err = errors.Join(err, out.Flush(), f.Close()); err != nil {
		os.Remove(path)
	}
	return err
}
