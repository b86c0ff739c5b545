// Command consentry-guest is the first process of a microVM, and the processes
// that linuxhost starts of itself there. It lies in the guest's initramfs, and
// in our WSL distro, where it is started for each app.
package main

import (
	"fmt"
	"os"

	"github.com/consentry/consentry/guestinit"
	"github.com/consentry/consentry/guestwire"
)

func main() {
	if code, mine := part(os.Args); mine {
		os.Exit(code)
	}
	do := guestinit.Main
	if len(os.Args) > 1 && os.Args[1] == guestwire.DistroPart {
		do = func() error { return guestinit.Distro(os.Args[2:]) }
	}
	if err := do(); err != nil {
		fmt.Fprintln(os.Stderr, "consentry-guest:", err)
		os.Exit(1)
	}
}
