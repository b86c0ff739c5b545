package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/ipc"
)

// Version is set by the build: -ldflags "-X …/cli.Version=1.2.3".
var Version = "dev"

// Streams are the three of a process.
type Streams struct{ In, Out, Err *os.File }

// Options are what the program gives to its command line.
type Options struct {
	Version string
	// Agent finds the program that is the agent. Nil: there is none to start.
	Agent func() (string, error)
	Now   func() time.Time // nil: time.Now
	// OpenTerminal opens the terminal that questions are put on when it is not
	// our input. Nil: the one this process belongs to.
	OpenTerminal func() (*os.File, error)
}

// Exit codes of our own.
const (
	exitFault          = 1
	exitOwn            = 125 // of commands that pass an app's code on
	exitNotExecutable  = 126
	exitNotFound       = 127
	exitBrokenPipe     = 141
	exitInterrupted    = 130
	suggestionDistance = 2
)

// cli is what every command shares.
type cli struct {
	Streams
	Options
	out, err style
}

// Main runs one command line and returns the exit code of the process.
func Main(args []string, s Streams, o Options) int {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Version == "" {
		o.Version = Version
	}
	c := &cli{Streams: s, Options: o, out: styleOf(s.Out, os.Getenv), err: styleOf(s.Err, os.Getenv)}
	root := c.treeFor(args[1:])
	root.SetArgs(args[1:])
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.Err)
	return c.finish(root.ExecuteContextC(context.Background()))
}

// Commands is the tree of commands, for its manual. It is not to be run.
func Commands() *cobra.Command {
	c := &cli{}
	return c.root()
}

// treeFor is the tree of commands as far as args need it: to make all of them
// takes a third of a millisecond, which run has not.
func (c *cli) treeFor(args []string) *cobra.Command {
	if len(args) == 0 || args[0] != "run" {
		return c.root()
	}
	root := c.bareRoot()
	root.AddCommand(c.runCommand())
	return root
}

// bareRoot is the command without a word, and without those below it.
func (c *cli) bareRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "consentry",
		Short: "Run other people's programs without trusting them",
		Long: `Consentry runs OCI images and WebAssembly modules with no network, no files and
no data of yours, and asks you before anything gets out.`,
		Example: `  consentry run -it docker.io/library/python:3
  consentry run -p 8080 ./page.tar
  consentry requests
  consentry allow 7f3a --for 1h
  consentry grants`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          c.unknownCommand,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Version:       c.Version,
	}
	root.SetVersionTemplate("consentry {{.Version}}\n")
	root.SetFlagErrorFunc(flagError)
	root.SuggestionsMinimumDistance = suggestionDistance
	root.AddGroup(
		&cobra.Group{ID: groupApps, Title: "Apps:"},
		&cobra.Group{ID: groupImages, Title: "Images:"},
		&cobra.Group{ID: groupConsent, Title: "What apps may do:"},
		&cobra.Group{ID: groupSelf, Title: "Consentry itself:"},
	)
	return root
}

// root is the tree of all commands.
func (c *cli) root() *cobra.Command {
	root := c.bareRoot()
	root.AddCommand(
		c.runCommand(), c.installCommand(), c.psCommand(), c.stopCommand(), c.killCommand(), c.startCommand(), c.attachCommand(),
		c.pauseCommand(), c.unpauseCommand(), c.logsCommand(), c.execCommand(), c.inspectCommand(), c.rmCommand(),
		c.cpCommand(), c.diffCommand(), c.snapshotCommand(),
		c.portCommand(), c.openCommand(), c.flowsCommand(), c.statsCommand(), c.captureCommand(),
		c.imagesCommand(), c.pullCommand(), c.rmiCommand(), c.pruneCommand(), c.dfCommand(), c.volumeCommand(), c.signersCommand(),
		c.requestsCommand(), c.reviewCommand(), c.answerCommand(allowWords), c.answerCommand(denyWords),
		c.grantsCommand(), c.appCommand(), c.muteCommand(), c.unmuteCommand(), c.offlineCommand(), c.onlineCommand(), c.presetsCommand(), c.revokeCommand(), c.ledgerCommand(), c.traceCommand(), c.waiversCommand(), c.whyCommand(), c.profileCommand(), c.accountsCommand(), c.secretCommand(),
		c.doctorCommand(), c.versionCommand(), c.agentCommand(), c.consoleCommand(), c.trayCommand(), c.manifestCommand(), c.purgeCommand(),
	)
	root.SetHelpCommandGroupID(groupSelf)
	root.SetCompletionCommandGroupID(groupSelf)
	return root
}

const (
	groupApps    = "apps"
	groupImages  = "images"
	groupConsent = "consent"
	groupSelf    = "self"
)

// connect returns a client of the agent, which is started if need be.
func (c *cli) connect(ctx context.Context) (*client.Client, error) {
	p, err := c.paths()
	if err != nil {
		return nil, err
	}
	return client.Connect(ctx, p, c.starter())
}

func (c *cli) paths() (ipc.Paths, error) {
	p, err := ipc.Find(os.Getenv(ipc.HomeEnv))
	if err != nil {
		return p, hinted("use a short, absolute path, such as "+ipc.HomeEnv+"=/tmp/consentry", err)
	}
	return p, nil
}

// starter starts the agent; nil if there is none to start.
func (c *cli) starter() client.Starter {
	if c.Agent == nil {
		return nil
	}
	return func(p ipc.Paths) (<-chan error, error) {
		program, err := c.agentProgram()
		if err != nil {
			return nil, err
		}
		return client.Spawn(program)(p)
	}
}

// finish prints the error of a command and names the exit code.
func (c *cli) finish(cmd *cobra.Command, err error) int {
	var end exitCode
	switch {
	case err == nil:
		return 0
	case errors.As(err, &end):
		return int(end)
	}
	c.complain(err)
	if cmd != nil && cmd.Annotations[passesCode] != "" {
		return ownCode(err)
	}
	return exitFault
}

// complain prints an error and what to do about it.
func (c *cli) complain(err error) {
	fmt.Fprintf(c.Err, "%s %s\n", c.err.red("consentry:"), plainLines(err.Error()))
	if hint := client.Hint(err); hint != "" {
		fmt.Fprintf(c.Err, "%s %s\n", c.err.bold("hint:"), plainLines(hint))
	}
}

// unknownCommand refuses words that are no command and names the nearest one.
func (c *cli) unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := "consentry --help lists the commands"
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "did you mean: consentry " + strings.Join(near, ", consentry ") + "?"
	}
	return hinted(hint, fmt.Errorf("unknown command %q", args[0]))
}
