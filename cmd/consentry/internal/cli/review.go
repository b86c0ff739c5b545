package cli

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) installCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:     "install [flags] IMAGE|DIR|ARCHIVE.tar|FILE.wasm",
		GroupID: groupApps,
		Short:   "Fetch an app and answer its manifest, without starting it",
		Long: `Fetch an app and show all that its manifest asks for, also if it was shown
before. consentry run does the same by itself before the first start; this is for
those who want to answer ahead, or once more. An app without a manifest is asked
about as it runs, so there is nothing to answer.`,
		Example:           "  consentry install docker.io/library/app\n  consentry install ./tool.wasm --answer deny",
		Args:              need(1, 1, "the image or the wasm file", "consentry install docker.io/library/alpine"),
		ValidArgsFunction: c.completeImages,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.installApp(cmd.Context(), f, args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.answer, "answer", "", "answer the whole manifest with `allow|deny`, from now on")
	flags.StringVar(&f.pull, "pull", "", "when to ask the registry: `missing|always|never`")
	flags.StringVar(&f.platform, "platform", "", "platform of the image, such as linux/arm64")
	flags.BoolVar(&f.json, "json", false, "print events as NDJSON")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "no progress")
	c.completeFlag(cmd, "pull", "missing", "always", "never")
	c.completeFlag(cmd, "answer", "allow", "deny")
	return cmd
}

func (c *cli) installApp(ctx context.Context, f runFlags, args []string) error {
	cwd, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the current folder: %w", err)
	}
	request, err := f.request(args, cwd, os.LookupEnv)
	if err != nil {
		return err
	}
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		stream, err := cl.Install(ctx, request)
		if err != nil {
			return err
		}
		_, err = c.converse(ctx, cl, stream, mode{JSON: f.json, Quiet: f.quiet, Answer: f.answer, Lasting: true})
		return err
	})
}

// reviewFlags are the answer to a review.
type reviewFlags struct {
	allow, deny, ask, stop, json bool
	lines                        []string
	length                       time.Duration
}

func (c *cli) reviewCommand() *cobra.Command {
	var f reviewFlags
	cmd := &cobra.Command{
		Use: "review [ID]", GroupID: groupConsent, Aliases: []string{"reviews"},
		Short: "See and answer the manifests of apps that wait to start",
		Long: `Without an ID, list the apps that wait with their manifests. With an ID, show what
one asks for; with --allow, --deny, --ask or --stop, answer it.

An answer lasts, --for a time if you say so. Lines that are not named by --line
get the answer for the whole. --ask leaves a line open: you are asked when the
app comes to it.`,
		Example:           "  consentry review\n  consentry review 7f3a --allow\n  consentry review 7f3a --allow --line 2=deny --line 4=ask",
		Args:              need(0, 1, "", "consentry review 7f3a"),
		ValidArgsFunction: c.completeReviews,
		RunE: func(cmd *cobra.Command, args []string) error {
			answer, err := f.answer(len(args) == 1)
			if err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if len(args) == 0 {
					return c.listReviews(ctx, cl, f.json)
				}
				return c.oneReview(ctx, cl, args[0], answer, f.json)
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.allow, "allow", false, "allow all lines")
	flags.BoolVar(&f.deny, "deny", false, "deny all lines and start")
	flags.BoolVar(&f.ask, "ask", false, "answer nothing now: ask when it comes up")
	flags.BoolVar(&f.stop, "stop", false, "do not start the app")
	flags.StringArrayVar(&f.lines, "line", nil, "another answer for one line: `N=allow|deny|ask`")
	flags.DurationVar(&f.length, "for", 0, "for a time, such as 24h")
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("allow", "deny", "ask", "stop")
	return cmd
}

// answer is nil if the flags have none.
func (f *reviewFlags) answer(one bool) (*api.ReviewAnswer, error) {
	a := api.ReviewAnswer{By: "cli", Lines: map[int]string{}, For: f.length}
	for verdict, chosen := range map[string]bool{"allow": f.allow, "deny": f.deny, "ask": f.ask, "stop": f.stop} {
		if chosen {
			a.Verdict = verdict
		}
	}
	for _, text := range f.lines {
		number, verdict, err := parseLine(text)
		if err != nil {
			return nil, err
		}
		a.Lines[number] = verdict
	}
	switch {
	case f.length < 0:
		return nil, badFlag("--for", f.length.String(), "less than nothing", "--for 24h")
	case f.length > 0:
		a.Lifetime = "time"
	}
	switch {
	case a.Verdict == "" && (len(a.Lines) > 0 || f.length > 0):
		return nil, hinted("for example: consentry review 7f3a --allow --line 2=deny", fmt.Errorf("--line and --for want an answer for the whole beside them"))
	case a.Verdict == "":
		return nil, nil
	case !one:
		return nil, hinted("consentry review lists them", fmt.Errorf("the ID of the review is missing"))
	}
	return &a, nil
}

func parseLine(text string) (int, string, error) {
	numberText, verdict, _ := strings.Cut(text, "=")
	number, err := strconv.Atoi(numberText)
	if err != nil || number < 1 || verdict != "allow" && verdict != "deny" && verdict != "ask" {
		return 0, "", badFlag("--line", text, "want the number of a line and allow, deny or ask", "--line 2=deny")
	}
	return number, verdict, nil
}

func (c *cli) listReviews(ctx context.Context, cl *client.Client, json bool) error {
	reviews, err := cl.Reviews(ctx)
	if err != nil {
		return err
	}
	if json {
		return printJSON(c.Out, list(reviews))
	}
	if len(reviews) == 0 {
		_, err := fmt.Fprintln(c.Out, "no app waits with its manifest")
		return err
	}
	rows := [][]string{{"ID", "APP", "DIGEST", "PUBLISHER", "WAITS"}}
	for _, r := range reviews {
		rows = append(rows, []string{r.ID, cut(r.App, 40), shortDigest(r.Digest), orDash(voucher(r.Publisher)), ago(c.Now(), r.Asked)})
	}
	return table(c.Out, rows)
}

func (c *cli) oneReview(ctx context.Context, cl *client.Client, id string, answer *api.ReviewAnswer, json bool) error {
	id, err := findReview(ctx, cl, id)
	if err != nil {
		return err
	}
	r, err := cl.Review(ctx, id)
	if err != nil {
		return err
	}
	if answer == nil {
		return c.showReview(r, json)
	}
	answer.Nonce = r.Nonce
	if err := cl.AnswerReview(ctx, id, *answer); err != nil {
		return err
	}
	if json {
		return printJSON(c.Out, map[string]any{"review": r.ID, "app": r.App, "verdict": answer.Verdict, "lines": answer.Lines})
	}
	_, err = fmt.Fprintf(c.Out, "the rights of %s: %s\n", plain(r.App), answeredWords(r, *answer))
	return err
}

func (c *cli) showReview(r api.Review, json bool) error {
	if json {
		return printJSON(c.Out, r)
	}
	var b strings.Builder
	writeReview(&b, r, c.out)
	fmt.Fprintf(&b, "\nanswer with: consentry review %s --allow, --deny, --ask or --stop; --line 2=deny for one line\n", plain(r.ID))
	_, err := fmt.Fprint(c.Out, b.String())
	return err
}

// findReview takes a unique beginning of an id.
func findReview(ctx context.Context, cl *client.Client, id string) (string, error) {
	reviews, err := cl.Reviews(ctx)
	if err != nil {
		return "", err
	}
	var found []string
	for _, r := range reviews {
		if id != "" && strings.HasPrefix(r.ID, id) {
			found = append(found, r.ID)
		}
	}
	if len(found) != 1 {
		return "", hinted("consentry review lists what waits; it may have been answered", fmt.Errorf("%s begin with %q", plural(len(found), "review"), id))
	}
	return found[0], nil
}

func (c *cli) completeReviews(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		reviews, _ := cl.Reviews(ctx)
		for _, r := range reviews {
			n.add(r.ID, r.App)
		}
	})
}
