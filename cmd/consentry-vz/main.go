// Command consentry-vz holds one microVM on macOS: it alone is entitled to
// Apple's Virtualization framework, and does what the agent at the other end of
// its socket says (package vmhost/vz). It ends with that socket.
package main

import (
	"fmt"
	"os"

	"github.com/consentry/consentry/internal/fdwire"
	"github.com/consentry/consentry/vmhost/vz"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "consentry-vz:", err)
		os.Exit(1)
	}
}

func run() error {
	conn, err := fdwire.FromFile(os.NewFile(vz.SocketFD, "agent"))
	if err != nil {
		return fmt.Errorf("it is started by the agent, not by hand: %w", err)
	}
	return vz.Serve(conn, framework{})
}
