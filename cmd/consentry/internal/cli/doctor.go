package cli

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

func (c *cli) doctorCommand() *cobra.Command {
	var json, reset, attacks bool
	var f attackFlags
	cmd := &cobra.Command{
		Use: "doctor", GroupID: groupSelf,
		Short:   "Say what this machine can do, and what is missing",
		Long:    "Say which walls can stand on this machine, what is missing and what to do\nabout it. The exit code is 1 if no app can run.\n\nWith --attack, run apps that try what a hostile one would, each in a sandbox of\nits own, and say what stopped them. The exit code is 1 if one got through.",
		Example: "  consentry doctor\n  consentry doctor --attack --waive ebpf-lsm",
		Args:    need(0, 0, "", "consentry doctor"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			switch {
			case attacks:
				return c.attack(cmd.Context(), f, json)
			case len(f.words()) > 0:
				return hinted("consentry doctor --attack "+strings.Join(f.words(), " "), errors.New("--isolation and --waive are for --attack"))
			}
			return c.with(cmd.Context(), func(ctx context.Context, cl *client.Client) error {
				if reset {
					return c.resetStore(ctx, cl, json)
				}
				d, err := cl.Doctor(ctx)
				if err != nil {
					return err
				}
				return c.printDoctor(d, json)
			})
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	cmd.Flags().BoolVar(&attacks, "attack", false, "attack this machine from inside sandboxes, and say what held")
	cmd.Flags().StringVar(&f.isolation, "isolation", "", "with --attack: what stands around an image: `auto|native|vm`")
	cmd.Flags().StringArrayVar(&f.waive, "waive", nil, "with --attack: do without a `WALL`, as run does")
	c.completeFlag(cmd, "isolation", "auto", "native", "vm")
	cmd.Flags().BoolVar(&reset, "reset-store", false, "put a damaged consent store aside and begin anew, with no grants")
	cmd.MarkFlagsMutuallyExclusive("attack", "reset-store")
	return cmd
}

func (c *cli) printDoctor(d api.Doctor, json bool) error {
	able := false
	for _, h := range d.Hosts {
		able = able || h.Ready
	}
	if json {
		if err := printJSON(c.Out, d); err != nil {
			return err
		}
	} else {
		for _, h := range d.Hosts {
			c.printHost(h)
		}
		fmt.Fprintf(c.Out, "%s store: %s\n", c.tick(d.Store == "ok"), plain(d.Store))
		if d.Keychain != "" {
			fmt.Fprintf(c.Out, "%s key of the store: %s\n", c.tick(true), plain(d.Keychain))
		}
		fmt.Fprintf(c.Out, "%s home: %s\n", c.tick(true), plain(d.Home))
	}
	if able {
		return nil
	}
	if !json {
		fmt.Fprintln(c.Out, c.out.red("no app can run on this machine yet"))
	}
	return exitCode(exitFault)
}

func (c *cli) printHost(h api.HostCheck) {
	fmt.Fprintf(c.Out, "%s %s\n", c.tick(h.Ready), c.out.bold(plain(h.Name)))
	if h.Problem != "" {
		fmt.Fprintf(c.Out, "    %s\n", strings.ReplaceAll(plainLines(h.Problem), "\n", "\n    "))
	}
	for _, w := range h.Walls {
		mark := c.tick(w.Stands)
		if !w.Stands && !w.Required {
			mark = c.out.yellow("–")
		}
		line := plain(w.Name)
		switch {
		case w.Waived:
			line += " (waived)"
		case w.Waiver != "" && !w.Stands:
			line += " (may be waived: --waive " + plain(w.Waiver) + ")"
		}
		if w.Detail != "" {
			line += ": " + plain(w.Detail)
		}
		fmt.Fprintf(c.Out, "    %s %s\n", mark, line)
	}
}

func (c *cli) tick(good bool) string {
	if good {
		return c.out.green("✓")
	}
	return c.out.red("✗")
}

func (c *cli) versionCommand() *cobra.Command {
	var json bool
	cmd := &cobra.Command{
		Use: "version", GroupID: groupSelf,
		Short:   "Show the version of this program and of the running agent",
		Example: "  consentry version --json",
		Args:    need(0, 0, "", "consentry version"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			agent, err := c.runningAgent(cmd.Context())
			if json {
				return printJSON(c.Out, versions{Client: c.Version, API: api.APIVersion, OS: runtime.GOOS, Arch: runtime.GOARCH, Agent: agent})
			}
			fmt.Fprintf(c.Out, "consentry %s, API %s, %s/%s\n", plain(c.Version), api.APIVersion, runtime.GOOS, runtime.GOARCH)
			switch {
			case agent != nil:
				fmt.Fprintf(c.Out, "agent %s, API %s, process %d, %s/%s\n", plain(agent.Version), plain(agent.API), agent.PID, plain(agent.OS), plain(agent.Arch))
			case errors.Is(err, client.ErrNotRunning):
				fmt.Fprintln(c.Out, "agent: not running")
			default:
				fmt.Fprintf(c.Out, "agent: %s\n", plain(err.Error()))
			}
			return nil
		},
	}
	cmd.Flags().BoolVar(&json, "json", false, "print JSON")
	return cmd
}

type versions struct {
	Client string       `json:"client"`
	API    string       `json:"api"`
	OS     string       `json:"os"`
	Arch   string       `json:"arch"`
	Agent  *api.Version `json:"agent"` // null: not running
}

// runningAgent asks the agent for its version and does not start one.
func (c *cli) runningAgent(ctx context.Context) (*api.Version, error) {
	p, err := c.paths()
	if err != nil {
		return nil, err
	}
	cl := client.New(p)
	defer cl.Close()
	v, err := cl.Version(ctx)
	if err != nil {
		return nil, err
	}
	return &v, nil
}
