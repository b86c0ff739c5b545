package main

import (
	"log/slog"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/agent"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/vz"
)

// part runs one of the processes that the agent starts of this program.
func part(args []string) (code int, mine bool) { return workerPart(args) }

// addHosts lists what runs apps on this system.
func addHosts(cfg *agent.Config, self string, paths ipc.Paths, log *slog.Logger) {
	beside := filepath.Dir(self)
	machines := routed{vmhost.NewHost(vmhost.HostConfig{
		Driver: vz.New(vz.Config{Helper: filepath.Join(beside, "consentry-vz"), Dir: filepath.Join(paths.Data, "vz"), Log: log}),
		Kernel: filepath.Join(beside, "guest", "kernel"), Init: filepath.Join(beside, "guest", "initramfs"), Log: log,
	})}
	cfg.Image, cfg.VM = machines, machines // a Mac has no other way
	cfg.Workers = &worker.Pool{Self: self, Stderr: os.Stderr, Waits: worker.Confined}
	cfg.Module = &worker.Host{Workers: &worker.Pool{Self: self, Stderr: os.Stderr, Waits: worker.Warm}, Log: log}
}
