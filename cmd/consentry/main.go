// Command consentry is the whole product in one program: the command line, the
// agent, and the processes that the agent starts of itself.
package main

import (
	"os"

	"github.com/consentry/consentry/cmd/consentry/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	if code, mine := part(os.Args); mine {
		os.Exit(code)
	}
	os.Exit(cli.Main(os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Options{
		Version:  version,
		RunAgent: runAgent,
	}))
}
