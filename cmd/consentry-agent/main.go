// Command consentry-agent is the agent, and the processes that the agent starts
// of itself. consentry is its client and starts it: a program without all this
// begins in a third of the time.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/consentry/consentry/agent/ipc"
)

// version is set by the build.
var version = "dev"

const exitUsage = 2

func main() {
	if code, mine := part(os.Args); mine {
		os.Exit(code)
	}
	debug := flag.Bool("debug", false, "log more")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "consentry-agent takes no %q; commands are consentry's\n", flag.Arg(0))
		os.Exit(exitUsage)
	}
	if err := serve(*debug); err != nil {
		fmt.Fprintln(os.Stderr, "consentry-agent:", err)
		os.Exit(1)
	}
}

// serve runs the agent until a signal ends it; it logs to standard error.
func serve(debug bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	level := slog.LevelInfo
	if debug {
		level = slog.LevelDebug
	}
	return runAgent(ctx, os.Getenv(ipc.HomeEnv), slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level})))
}
