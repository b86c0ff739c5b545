package cli

import (
	"context"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/consentry/consentry/agent/api"
)

func (c *cli) startCommand() *cobra.Command {
	var attach, interactive, json bool
	cmd := &cobra.Command{
		Use: "start [-a] [-i] RUN", GroupID: groupApps,
		Short:             "Start a run that has ended once more",
		Example:           "  consentry start web\n  consentry start -a -i shell",
		Args:              need(1, 1, "the run", "consentry start web"),
		Annotations:       map[string]string{passesCode: "1"},
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			cl, err := c.connect(ctx)
			if err != nil {
				return err
			}
			defer cl.Close()
			detail, err := cl.Inspect(ctx, args[0])
			if err != nil {
				return err
			}
			stream, err := cl.Start(ctx, args[0], attach || interactive)
			if err != nil {
				return err
			}
			return ended(c.converse(ctx, cl, stream, mode{
				Stdin: interactive, Terminal: detail.Request.Terminal && (attach || interactive),
				Detach: !attach && !interactive, JSON: json, Name: args[0],
			}))
		},
	}
	cmd.Flags().BoolVarP(&attach, "attach", "a", false, "show its output and wait for its end")
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "give it your input as well")
	cmd.Flags().BoolVar(&json, "json", false, "print events as NDJSON")
	return cmd
}

func (c *cli) attachCommand() *cobra.Command {
	var noInput, json bool
	cmd := &cobra.Command{
		Use: "attach RUN", GroupID: groupApps,
		Short: "Join a running app: its output, your input",
		Long: `Join a running app. Ctrl-C goes to the app. An app that was started with -it is
left with Ctrl-P Ctrl-Q and goes on.`,
		Example:           "  consentry attach web",
		Args:              need(1, 1, "the run", "consentry attach web"),
		Annotations:       map[string]string{passesCode: "1"},
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx := cmd.Context()
			cl, err := c.connect(ctx)
			if err != nil {
				return err
			}
			defer cl.Close()
			detail, err := cl.Inspect(ctx, args[0])
			if err != nil {
				return err
			}
			stream, err := cl.Attach(ctx, args[0])
			if err != nil {
				return err
			}
			return ended(c.converse(ctx, cl, stream, mode{
				Stdin: detail.Request.Stdin && !noInput, Terminal: detail.Request.Terminal, JSON: json, Name: args[0],
			}))
		},
	}
	cmd.Flags().BoolVar(&noInput, "no-stdin", false, "only watch")
	cmd.Flags().BoolVar(&json, "json", false, "print events as NDJSON")
	return cmd
}

func (c *cli) execCommand() *cobra.Command {
	var r api.ExecRequest
	var env, envFiles []string
	var json bool
	cmd := &cobra.Command{
		Use: "exec [flags] RUN COMMAND [args]", GroupID: groupApps,
		Short:             "Run another process inside a running app",
		Long:              "Run another process inside a running app, behind the same walls.",
		Example:           "  consentry exec -it web sh\n  consentry exec web cat /etc/hostname",
		Args:              need(2, -1, "the run or the command", "consentry exec -it web sh"),
		Annotations:       map[string]string{passesCode: "1"},
		ValidArgsFunction: c.completeRuns,
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if r.Env, err = environment(envFiles, env, os.LookupEnv); err != nil {
				return err
			}
			r.Args = args[1:]
			return c.exec(cmd.Context(), args[0], r, json)
		},
	}
	flags := cmd.Flags()
	flags.SetInterspersed(false)
	flags.BoolVarP(&r.Stdin, "interactive", "i", false, "the process gets your input")
	flags.BoolVarP(&r.Terminal, "tty", "t", false, "the process gets a terminal")
	flags.StringArrayVarP(&env, "env", "e", nil, "set a variable: `K=V`, or K to pass yours on")
	flags.StringArrayVar(&envFiles, "env-file", nil, "read variables from a `FILE`")
	flags.StringVarP(&r.User, "user", "u", "", "user inside: name or uid, `USER[:GROUP]`")
	flags.StringVarP(&r.WorkDir, "workdir", "w", "", "folder inside to start in")
	flags.BoolVar(&json, "json", false, "print events as NDJSON instead of the output")
	return cmd
}

func (c *cli) exec(ctx context.Context, ref string, r api.ExecRequest, json bool) error {
	if r.Terminal && r.Stdin && !term.IsTerminal(int(c.In.Fd())) {
		return hinted("leave -t out in scripts: consentry exec -i", fmt.Errorf("-t wants a terminal and standard input is none"))
	}
	r.Size, _ = windowSize(c.Out, c.In)
	cl, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	stream, err := cl.Exec(ctx, ref, r)
	if err != nil {
		return err
	}
	return ended(c.converse(ctx, cl, stream, mode{Stdin: r.Stdin, Terminal: r.Terminal, JSON: json, Name: ref}))
}
