// Command consentry-guest is the first process of a microVM, and the processes
// that linuxhost starts of itself there. It lies in the guest's initramfs.
package main

import (
	"fmt"
	"os"

	"github.com/consentry/consentry/guestinit"
)

func main() {
	if code, mine := part(os.Args); mine {
		os.Exit(code)
	}
	if err := guestinit.Main(); err != nil {
		fmt.Fprintln(os.Stderr, "consentry-guest:", err)
		os.Exit(1)
	}
}
