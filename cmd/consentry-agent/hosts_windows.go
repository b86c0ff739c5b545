package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/agent"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/hcs"
	"github.com/consentry/consentry/vmhost/wsl"
)

// removeDistro is the part that an uninstaller runs: it unregisters the distro,
// with all that apps have written in it.
const removeDistro = "remove-distro"

// part runs one of the processes that the agent starts of this program, and what
// an uninstaller does.
func part(args []string) (code int, mine bool) {
	if len(args) == 2 && args[1] == removeDistro {
		if err := wsl.New(wsl.Config{WSL: wslProgram}).Remove(context.Background()); err != nil {
			fmt.Fprintln(os.Stderr, "consentry-agent:", err)
			return 1, true
		}
		return 0, true
	}
	return workerPart(args)
}

const wslProgram = "wsl.exe"

// addHosts lists what runs apps on this system.
func addHosts(cfg *agent.Config, self string, paths ipc.Paths, log *slog.Logger) {
	guest := filepath.Join(filepath.Dir(self), "guest")
	cfg.Image = routed{vmhost.NewHost(vmhost.HostConfig{
		Driver: wsl.New(wsl.Config{WSL: wslProgram, Guest: filepath.Join(guest, "consentry-guest"), Dir: filepath.Join(paths.Data, "wsl"), Log: log}),
		Log:    log,
	})}
	cfg.VM = routed{vmhost.NewHost(vmhost.HostConfig{
		Driver: hcs.New(hcs.Config{Dir: filepath.Join(paths.Data, "hcs"), Log: log}),
		Kernel: filepath.Join(guest, "kernel"), Init: filepath.Join(guest, "initramfs"), Log: log,
	})}
	cfg.Workers = &worker.Pool{Self: self, Stderr: os.Stderr, Waits: worker.Confined}
	cfg.Module = &worker.Host{Workers: &worker.Pool{Self: self, Stderr: os.Stderr, Waits: worker.Warm}, Log: log}
}
