// Command wasm-go asks for the user's e-mail address and fetches the URL it
// was given. Build it with GOOS=wasip1 GOARCH=wasm.
package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/consentry/consentry/sdk/go/consentry"
)

// Exit codes: 0 all well, 2 the user said no, 75 try again later (EX_TEMPFAIL).
func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitCode(err))
	}
}

func run(args []string) error {
	email, err := consentry.RequestUserEmail("to greet you by your address")
	if err != nil {
		return err
	}
	fmt.Printf("hello %s\n", email)
	for _, url := range args {
		if err := fetch(url); err != nil {
			return err
		}
	}
	return nil
}

func fetch(url string) error {
	resp, err := consentry.Fetch(consentry.HTTPRequest{URL: url, Reason: "to show you the page you named"})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	fmt.Printf("status %d\n", resp.Status)
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

func exitCode(err error) int {
	switch {
	case errors.Is(err, consentry.ErrDenied):
		return 2
	case errors.Is(err, consentry.ErrAgain):
		return 75
	}
	return 1
}
