package cli

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) exportRulesCommand() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use: "export [APP]", Short: "Print rules as a file that import takes",
		Example:           "  consentry grants export > rules.txt\n  consentry grants export docker.io/library/app -o app.rules",
		Args:              need(0, 1, "", "consentry grants export docker.io/library/app"),
		ValidArgsFunction: c.completeGrantApps,
		RunE: func(cmd *cobra.Command, args []string) error {
			app := strings.Join(args, "")
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				text, err := cl.ExportGrants(ctx, app)
				if err != nil {
					return err
				}
				if out == "" || out == "-" {
					_, err = fmt.Fprint(c.Out, plainLines(text))
					return err
				}
				return os.WriteFile(out, []byte(text), 0o600)
			})
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write to a `FILE`")
	return cmd
}

// importFlags are those of import and apply.
type importFlags struct {
	app       string
	yes, json bool
}

func (c *cli) importCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "import FILE|-", Short: "Give the rules of a file, all or none",
		Long: `Show what the rules of a file would change, and do it after a yes. The file is as
export and presets have it. A bad line refuses the whole file.`,
		Example:           "  consentry grants import rules.txt\n  consentry grants import app.rules --app ./tool.wasm --yes",
		Args:              need(1, 1, "the file", "consentry grants import rules.txt"),
		ValidArgsFunction: cobra.FixedCompletions(nil, cobra.ShellCompDirectiveDefault),
		RunE: func(cmd *cobra.Command, args []string) error {
			text, err := c.ruleFile(args[0])
			if err != nil {
				return err
			}
			if f.app, err = appOrPath(f.app); err != nil {
				return err
			}
			return c.importRules(cmd.Context(), api.ImportRequest{Text: text, App: f.app}, f)
		},
	}
	cmd.Flags().StringVar(&f.app, "app", "", "the `APP` of rules that name none")
	f.common(cmd)
	return cmd
}

func (c *cli) applyCommand() *cobra.Command {
	var f importFlags
	cmd := &cobra.Command{
		Use: "apply PRESET APP", Short: "Give an app the rules of a preset, from now on",
		Example:           "  consentry grants apply offline docker.io/library/app",
		Args:              need(2, 2, "the preset or the app", "consentry grants apply offline docker.io/library/app"),
		ValidArgsFunction: c.completePresets,
		RunE: func(cmd *cobra.Command, args []string) error {
			app, err := appOrPath(args[1])
			if err != nil {
				return err
			}
			return c.importRules(cmd.Context(), api.ImportRequest{Preset: args[0], App: app}, f)
		},
	}
	f.common(cmd)
	return cmd
}

func (f *importFlags) common(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.yes, "yes", "y", false, "do it without asking")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the plan as JSON")
}

// appOrPath makes the path of a file absolute, as run does.
func appOrPath(text string) (string, error) {
	if !looksLikePath(text) {
		return text, nil
	}
	cwd, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the current folder: %w", err)
	}
	return absolute(cwd, text), nil
}

// maxRuleFile bounds what is read; the agent takes less.
const maxRuleFile = 2 << 20

func (c *cli) ruleFile(name string) (string, error) {
	f := c.In
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return "", hinted("give a file as consentry grants export writes it, or - for standard input", err)
		}
		defer f.Close() //nolint:errcheck // only read
	}
	raw, err := io.ReadAll(io.LimitReader(f, maxRuleFile))
	if err != nil {
		return "", fmt.Errorf("read %s: %w", name, err)
	}
	if len(strings.TrimSpace(string(raw))) == 0 {
		return "", fmt.Errorf("%s is empty", name)
	}
	return string(raw), nil
}

func (c *cli) importRules(ctx context.Context, r api.ImportRequest, f importFlags) error {
	return c.with(ctx, func(ctx context.Context, cl *client.Client) error {
		plan, err := cl.ImportGrants(ctx, r)
		if err != nil {
			return err
		}
		changes := 0
		for _, item := range plan.Items {
			if item.Does == "add" || item.Does == "replace" {
				changes++
			}
		}
		if !f.json {
			if err := c.printPlan(plan); err != nil {
				return err
			}
		}
		switch {
		case changes == 0:
		case f.yes || !f.json && c.confirm(fmt.Sprintf("Give %s?", plural(changes, "rule"))):
			r.Apply = plan.Plan
			if plan, err = cl.ImportGrants(ctx, r); err != nil {
				return err
			}
		case !f.json:
			return hinted("--yes does it without asking", fmt.Errorf("nothing was done"))
		}
		if f.json {
			return printJSON(c.Out, plan)
		}
		_, err = fmt.Fprintf(c.Out, "%s given\n", plural(changes, "rule"))
		return err
	})
}

func (c *cli) printPlan(plan api.ImportPlan) error {
	words := map[string]string{"add": "new", "same": "there already", "over": "its time has passed, left out"}
	rows := [][]string{{"LINE", "APP", "VERDICT", "KIND", "TARGET", "LASTS", ""}}
	for _, i := range plan.Items {
		does := words[i.Does]
		if i.Does == "replace" {
			does = "instead of " + i.Was
		}
		life := "always"
		if !i.Expires.IsZero() {
			life = "until " + i.Expires.Local().Format(time.DateTime)
		}
		rows = append(rows, []string{fmt.Sprint(i.Line), cut(i.App, 40), i.Verdict, i.Kind, i.Target, life, does})
	}
	return table(c.Out, rows)
}

// confirm asks on the terminal; without one nobody says yes.
func (c *cli) confirm(question string) bool {
	if !term.IsTerminal(int(c.In.Fd())) || !c.err.terminal {
		return false
	}
	fmt.Fprintf(c.Err, "%s Type yes to do it: ", c.err.bold(question))
	answer, err := bufio.NewReader(c.In).ReadString('\n')
	return err == nil && strings.EqualFold(strings.TrimSpace(answer), "yes")
}
