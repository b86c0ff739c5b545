package cli

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/consentry/consentry/agent/api"
	"github.com/consentry/consentry/agent/client"
)

// passesCode marks the commands whose exit code is the app's.
const passesCode = "passes-code"

// exitCode ends the program with a code and no message.
type exitCode int

func (e exitCode) Error() string { return "exit code " + strconv.Itoa(int(e)) }

func hinted(hint string, err error) error { return &client.Advice{Err: err, Text: hint} }

// badFlag names the flag, what is wrong with its value, and a value that works.
func badFlag(name, value, wrong, example string) error {
	return hinted("for example: "+example, fmt.Errorf("%s %q: %s", name, value, wrong))
}

func flagError(cmd *cobra.Command, err error) error {
	return hinted(cmd.CommandPath()+" --help shows the flags", err)
}

// ownCode is the exit code for an error where the app's code would be passed on.
func ownCode(err error) int {
	var fault *api.Error
	if errors.As(err, &fault) {
		switch fault.Code {
		case api.CodeCommandNotFound:
			return exitNotFound
		case api.CodeCommandNotExecutable:
			return exitNotExecutable
		}
	}
	return exitOwn
}

// need refuses a command line with the wrong number of words.
func need(low, high int, what, example string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < low:
			return hinted("for example: "+example, fmt.Errorf("%s is missing", what))
		case high >= 0 && len(args) > high:
			return hinted("for example: "+example, fmt.Errorf("%q is one word too many", args[high]))
		}
		return nil
	}
}
