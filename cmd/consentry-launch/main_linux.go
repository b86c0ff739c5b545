// Command consentry-launch is the launcher and the init of Linux sandboxes by
// itself: consentry-agent can be both, but takes twice as long to begin, since it
// carries everything else. The agent uses it when it lies beside consentry-agent.
package main

import (
	"fmt"
	"os"

	"github.com/consentry/consentry/linuxhost"
)

func main() {
	if len(os.Args) > 1 {
		if code, handled := linuxhost.Main(os.Args[1], os.Args[2:]); handled {
			os.Exit(code)
		}
	}
	fmt.Fprintln(os.Stderr, "consentry-launch is started by the agent, not by hand")
	os.Exit(2)
}
