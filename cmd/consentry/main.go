// Command consentry runs other people's programs without trusting them.
package main

import (
	"os"

	"github.com/consentry/consentry/cmd/consentry/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, cli.Options{}))
}
