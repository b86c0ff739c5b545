package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/consentry/consentry/agent"
	"github.com/consentry/consentry/agent/client"
	"github.com/consentry/consentry/agent/console"
	"github.com/consentry/consentry/agent/dial"
	"github.com/consentry/consentry/agent/ipc"
)

// isolationEnv is what stands around images whose run does not say: "auto",
// "native" or "vm".
const isolationEnv = "CONSENTRY_ISOLATION"

// runAgent serves the local API until ctx ends. Only one agent runs for each
// set of paths: the lock is taken before anything is touched.
func runAgent(ctx context.Context, home string, log *slog.Logger) (err error) {
	if handled, err := asUser(ctx, log); handled {
		return err
	}
	ctx, cancel, err := settle(ctx)
	if err != nil {
		return err
	}
	defer cancel()
	paths, err := ipc.Find(home)
	if err != nil {
		return err
	}
	lock, err := ipc.WaitLock(ctx, paths)
	if err != nil {
		return err
	}
	defer lock.Close()
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program: %w", err)
	}
	cfg := agent.Config{
		Data: paths.Data, Version: version,
		Log: log, Now: time.Now, Proxies: dial.FromEnvironment(os.Getenv),
		Keychain: agent.Session(),
		Presets:  paths.Presets(), Registries: paths.Registries(),
	}
	cfg.Isolation = os.Getenv(isolationEnv)
	if cfg.Unused, err = unusedTime(os.Getenv(unusedEnv)); err != nil {
		return err
	}
	own := client.New(paths)
	defer own.Close()
	page := console.New(console.Config{Agent: own, Dir: paths.Runtime, Log: log, Now: time.Now})
	defer page.Close()
	cfg.Console = page
	addHosts(&cfg, self, paths, log)
	a, err := agent.Open(ctx, cfg)
	if err != nil {
		return err
	}
	l, err := ipc.Listen(paths, log)
	if err != nil {
		return errors.Join(err, a.Close())
	}
	log.Info("the agent serves", "socket", paths.Socket)
	return errors.Join(a.Serve(ctx, l), a.Close())
}
