// Command consentry-tray is the icon on the user's desktop and the notifications
// that ask. It is a program of its own, as it waits for as long as the session
// lasts and the agent needs nothing of it.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/internal/browse"
	"github.com/consentry/consentry/tray"
)

func main() {
	debug := flag.Bool("debug", false, "log more")
	flag.Parse()
	level := slog.LevelWarn
	if *debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	if err := run(log); err != nil {
		fmt.Fprintln(os.Stderr, "consentry-tray:", err)
		if hint := client.Hint(err); hint != "" {
			fmt.Fprintln(os.Stderr, "hint:", hint)
		}
		os.Exit(1)
	}
}

// run serves until a signal or the user ends it. An agent that does not run is
// started once; when it ends the icon says so.
func run(log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	self, err := os.Executable()
	if err == nil {
		self, err = filepath.EvalSymlinks(self)
	}
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	paths, err := ipc.Find(os.Getenv(ipc.HomeEnv))
	if err != nil {
		return err
	}
	agent := filepath.Join(filepath.Dir(self), "consentry-agent"+filepath.Ext(self))
	cl, err := client.Connect(ctx, paths, client.Spawn(agent))
	if err != nil {
		log.Warn("no agent", "error", err)
		cl = client.New(paths)
	}
	defer cl.Close()
	return tray.Main(ctx, tray.Options{Agent: cl, Program: self, Open: browse.Open, Log: log})
}
