// Without this the Go run time looks for limits of cgroups, in mountinfo, before main: a
// third of the time that a short command takes.
//go:debug containermaxprocs=0

// Command consentry is the command line: a small program, as it begins once for
// every command. What runs the apps is consentry-agent, beside it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/cmd/consentry/internal/cli"
)

// version is set by the build.
var version = "dev"

func main() {
	os.Exit(cli.Main(os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Options{
		Version: version,
		Agent:   findAgent,
	}))
}

// findAgent is consentry-agent in the folder of this program, wherever a link
// to this one lies.
func findAgent() (string, error) {
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return "", fmt.Errorf("find this program: %w", err)
	}
	return filepath.Join(filepath.Dir(self), "consentry-agent"+filepath.Ext(self)), nil
}
