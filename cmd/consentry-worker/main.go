// Command consentry-worker is the process that routes for one image by itself:
// consentry-agent can be it too, but holds twice the memory, since it carries
// everything else. The agent uses it when it lies beside consentry-agent.
package main

import (
	"fmt"
	"os"

	"github.com/consentry/consentry/agent/worker"
)

func main() {
	if len(os.Args) >= 2 && os.Args[1] == worker.Name {
		os.Exit(worker.Main())
	}
	fmt.Fprintln(os.Stderr, "consentry-worker is started by the agent, not by hand")
	os.Exit(2)
}
