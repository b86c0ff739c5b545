package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) requestsCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "requests", GroupID: groupConsent, Aliases: []string{"inbox"},
		Short:   "List what apps ask for and wait for",
		Example: "  consentry requests\n  consentry allow 7f3a --for 1h",
		Args:    need(0, 0, "", "consentry requests"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				prompts, err := cl.Requests(ctx)
				if err != nil {
					return err
				}
				return c.printRequests(prompts, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

func (c *cli) printRequests(prompts []api.Prompt, json bool) error {
	if json {
		return printJSON(c.Out, list(prompts))
	}
	if len(prompts) == 0 {
		_, err := fmt.Fprintln(c.Out, "nothing is asked for")
		return err
	}
	for i, p := range prompts {
		if i > 0 {
			fmt.Fprintln(c.Out)
		}
		waits := "the app waits for it"
		switch {
		case !p.Live:
			waits = "a yes counts from the next try"
		case p.Queued:
			waits = "the app waits for it, and for another answer first"
		}
		fmt.Fprintf(c.Out, "%s  %s\n", c.out.bold(plain(p.ID)), plain(p.Title))
		fmt.Fprintf(c.Out, "    app     %s (%s), run %s\n", plain(p.App), plain(shortDigest(p.Digest)), plain(orDash(p.RunName)))
		fmt.Fprintf(c.Out, "    asked   %s, %s; %s\n", ago(c.Now(), p.Asked), plural(max(p.Count, 1), "time"), waits)
		fmt.Fprintf(c.Out, "    right   %s %s\n", plain(p.Kind), plain(strings.Join(append([]string{p.Target}, p.Also...), " ")))
		for _, line := range [][2]string{
			{"warning", p.LooksLike}, {"reason", quoted(p.Reason)}, {"allowed", p.Consequence}, {"and", p.Blast},
		} {
			if line[1] != "" {
				fmt.Fprintf(c.Out, "    %-7s %s\n", line[0], plain(line[1]))
			}
		}
	}
	_, err := fmt.Fprintf(c.Out, "\nanswer with: consentry allow ID [--once|--run|--for 1h|--always], consentry deny ID [--always]\n")
	return err
}

func quoted(text string) string {
	if text == "" {
		return ""
	}
	return "“" + text + "”"
}

// answerWords are what differs between allow and deny.
type answerWords struct{ verdict, verb, done, short, example string }

var (
	allowWords = answerWords{"allow", "allow", "allowed", "Answer a request with yes, or write a rule",
		"  consentry allow 7f3a\n  consentry allow 7f3a --for 1h\n  consentry allow docker.io/library/app net.connect api.example.com:443 --always"}
	denyWords = answerWords{"deny", "deny", "denied", "Answer a request with no, or write a rule",
		"  consentry deny 7f3a\n  consentry deny 7f3a --always\n  consentry deny docker.io/library/app net.connect '*.example.com:443'"}
)

// answerFlags say how long an answer lasts; at most one is given.
type answerFlags struct {
	once, run, always, json bool
	length                  time.Duration
	target                  string
	fields                  []string
	shape                   shapeFlags
	shaped                  string
}

func (c *cli) answerCommand(w answerWords) *cobra.Command {
	var f answerFlags
	cmd := &cobra.Command{
		Use: w.verb + " ID | " + w.verb + " APP KIND TARGET", GroupID: groupConsent,
		Short: w.short,
		Long: w.short + `.

With an ID of consentry requests the answer lasts --once unless another
lifetime is given. With APP, KIND and TARGET a rule is written without a
question, --always unless another lifetime is given. Kinds are net.connect,
net.listen, file.read, file.write, url.open, notify, secret.use and data.KIND.`,
		Example:           w.example,
		Args:              answerArgs(w),
		ValidArgsFunction: c.completeRequests,
		RunE: func(cmd *cobra.Command, args []string) error {
			life, err := f.lifetime(len(args) == 3)
			if err != nil {
				return err
			}
			if f.shaped, err = f.shape.text(); err != nil {
				return err
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if len(args) == 3 {
					return c.addRule(ctx, cl, w, f, life, args)
				}
				return c.answerRequest(ctx, cl, w, f, life, args[0])
			})
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&f.once, "once", false, "this request only")
	flags.BoolVar(&f.run, "run", false, "until the app exits")
	flags.DurationVar(&f.length, "for", 0, "for a time, such as 1h")
	flags.BoolVar(&f.always, "always", false, "from now on")
	flags.StringVar(&f.target, "target", "", "answer for a wider or narrower `TARGET`, such as tcp/*.example.com:443")
	flags.StringSliceVar(&f.fields, "fields", nil, "for data: the `FIELDS` that are given")
	if w.verdict == "allow" {
		f.shape.add(flags)
	}
	flags.BoolVar(&f.json, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("once", "run", "for", "always")
	return cmd
}

func answerArgs(w answerWords) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 1 || len(args) == 3 {
			return nil
		}
		return hinted("for example: consentry "+w.verb+" 7f3a, or: consentry "+w.verb+" APP net.connect api.example.com:443",
			fmt.Errorf("want the ID of a request, or APP KIND TARGET; got %s", plural(len(args), "word")))
	}
}

// lifetime is the one that was chosen, or the default: the shortest for an
// answer, and for a rule, which is written to last, always.
func (f *answerFlags) lifetime(rule bool) (string, error) {
	switch {
	case f.length < 0:
		return "", badFlag("--for", f.length.String(), "less than nothing", "--for 1h")
	case f.length > 0:
		return "time", nil
	case f.run:
		return "run", nil
	case f.always:
		return "always", nil
	case f.once && rule:
		return "", hinted("use --run, --for 1h or --always", fmt.Errorf("--once answers a request, a rule lasts"))
	case rule:
		return "always", nil
	}
	return "once", nil
}

func (c *cli) answerRequest(ctx context.Context, cl *client.Client, w answerWords, f answerFlags, life, id string) error {
	prompts, err := cl.Requests(ctx)
	if err != nil {
		return err
	}
	p, err := findPrompt(prompts, id)
	if err != nil {
		return err
	}
	answer := api.AnswerRequest{
		Nonce: p.Nonce, Verdict: w.verdict, Lifetime: life, For: f.length, Target: f.target, Fields: f.fields, Shape: f.shaped, By: "cli",
	}
	if err := cl.Answer(ctx, p.ID, answer); err != nil {
		return err
	}
	if f.json {
		return printJSON(c.Out, map[string]any{"request": p.ID, "verdict": w.verdict, "lifetime": life, "app": p.App, "kind": p.Kind, "target": orElse(f.target, p.Target)})
	}
	_, err = fmt.Fprintf(c.Out, "%s %s: %s\n", w.done, lifeWords(life, f.length), plain(p.Title))
	return err
}

// findPrompt takes an id or a unique beginning of one.
func findPrompt(prompts []api.Prompt, id string) (api.Prompt, error) {
	var found []api.Prompt
	for _, p := range prompts {
		if p.ID == id {
			return p, nil
		}
		if id != "" && strings.HasPrefix(p.ID, id) {
			found = append(found, p)
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return api.Prompt{}, hinted("consentry requests lists what waits; it may have been answered or be over", fmt.Errorf("no request is called %q", id))
	}
	return api.Prompt{}, hinted("use more of the id", fmt.Errorf("%q is the beginning of %s", id, plural(len(found), "request")))
}

func (c *cli) addRule(ctx context.Context, cl *client.Client, w answerWords, f answerFlags, life string, args []string) error {
	app, err := appOrPath(args[0])
	if err != nil {
		return err
	}
	rule := api.Grant{App: app, Kind: args[1], Target: args[2], Verdict: w.verdict, Lifetime: life, Shape: f.shaped, By: "cli"}
	if !knownKind(rule.Kind) {
		return hinted("kinds are "+strings.Join(kinds, ", ")+" and data.KIND", fmt.Errorf("%q is no kind of right", rule.Kind))
	}
	if strings.HasPrefix(rule.Kind, "net.") && !strings.Contains(rule.Target, "/") {
		rule.Target = "tcp/" + rule.Target
	}
	switch life {
	case "time":
		rule.Expires = c.Now().Add(f.length)
	case "run":
		rule.Run = args[0]
	}
	stored, err := cl.AddGrant(ctx, rule)
	if err != nil {
		return err
	}
	if f.json {
		return printJSON(c.Out, stored)
	}
	_, err = fmt.Fprintf(c.Out, "%s %s: %s %s for %s (rule %s)\n", w.done, lifeWords(life, f.length), plain(stored.Kind), plain(stored.Target), plain(stored.App), plain(stored.ID))
	return err
}

var kinds = []string{"net.connect", "net.listen", "file.read", "file.write", "url.open", "notify", "secret.use"}

func knownKind(kind string) bool {
	for _, k := range kinds {
		if k == kind {
			return true
		}
	}
	return strings.HasPrefix(kind, "data.") && len(kind) > len("data.")
}

func lifeWords(life string, length time.Duration) string {
	switch life {
	case "time":
		return "for " + span(length)
	case "run":
		return "until the app exits"
	}
	return life
}

func orElse(text, fallback string) string {
	if text == "" {
		return fallback
	}
	return text
}

func bytesInOut(in, out int64) string {
	if in == 0 && out == 0 {
		return ""
	}
	return strings.TrimSpace("in " + size(in) + " out " + size(out))
}
