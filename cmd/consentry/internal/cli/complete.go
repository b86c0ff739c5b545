package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
)

// completeTimeout is how long a press of Tab may take.
const completeTimeout = time.Second

// names are completions; each may have a description after a tab.
type names []string

func (n *names) add(word, about string) {
	if word != "" {
		*n = append(*n, plain(word)+"\t"+plain(cut(about, 60)))
	}
}

// ask collects names from the agent if it runs; it is not started for a Tab.
func (c *cli) ask(cmd *cobra.Command, collect func(context.Context, *client.Client, *names)) ([]string, cobra.ShellCompDirective) {
	p, err := c.paths()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	ctx := cmd.Context()
	if ctx == nil {
		ctx = context.Background()
	}
	ctx, cancel := context.WithTimeout(ctx, completeTimeout)
	defer cancel()
	cl := client.New(p)
	defer cl.Close()
	var n names
	collect(ctx, cl, &n)
	return n, cobra.ShellCompDirectiveNoFileComp
}

func addRuns(ctx context.Context, cl *client.Client, n *names) {
	runs, _ := cl.Runs(ctx, true) // a Tab has nowhere to show an error
	for _, r := range runs {
		word := r.Name
		if word == "" {
			word = r.ID
		}
		n.add(word, string(r.State)+" "+r.Source)
	}
}

func addImages(ctx context.Context, cl *client.Client, n *names) {
	images, _ := cl.Images(ctx)
	for _, i := range images {
		n.add(i.Ref, i.Format+" "+size(i.Size))
	}
}

func (c *cli) completeRuns(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.ask(cmd, addRuns)
}

func (c *cli) completeRunsAndImages(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		addRuns(ctx, cl, n)
		addImages(ctx, cl, n)
	})
}

// completeImages offers images for the first word, and files besides.
func (c *cli) completeImages(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 && cmd.Name() == "run" {
		return nil, cobra.ShellCompDirectiveDefault
	}
	words, _ := c.ask(cmd, addImages)
	return words, cobra.ShellCompDirectiveDefault
}

func (c *cli) completeRequests(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return kinds, cobra.ShellCompDirectiveNoFileComp
	}
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		prompts, _ := cl.Requests(ctx)
		for _, p := range prompts {
			n.add(p.ID, p.Title)
		}
	})
}

func (c *cli) completeGrants(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		grants, _ := cl.Grants(ctx, "")
		for _, g := range grants {
			n.add(g.ID, g.Verdict+" "+g.Kind+" "+g.Target)
		}
	})
}

func (c *cli) completeGrantApps(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	return c.ask(cmd, func(ctx context.Context, cl *client.Client, n *names) {
		grants, _ := cl.Grants(ctx, "")
		seen := map[string]bool{}
		for _, g := range grants {
			if len(args) == 0 && !seen[g.App] {
				n.add(g.App, "")
			}
			if len(args) == 1 && g.App == args[0] {
				n.add(g.Target, g.Verdict)
			}
			seen[g.App] = true
		}
	})
}

// completeFlag offers fixed words for a flag.
func (c *cli) completeFlag(cmd *cobra.Command, name string, words ...string) {
	_ = cmd.RegisterFlagCompletionFunc(name, cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}
