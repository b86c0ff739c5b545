package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/consentry/consentry/agent"
	"github.com/consentry/consentry/agent/ipc"
	"github.com/consentry/consentry/agent/worker"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/linuxhost/rootless"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/qemu"
)

// part runs one of the processes that the agent starts of this program.
func part(args []string) (code int, mine bool) {
	if len(args) < 2 { //nolint:mnd // the program and the part
		return 0, false
	}
	if args[1] == worker.Name {
		return worker.Main(), true
	}
	if code, mine := qemu.Main(args[1]); mine {
		return code, true
	}
	return linuxhost.Main(args[1], args[2:])
}

// beside is the small program of that name beside this one, or this one: small
// ones begin faster and hold less.
func beside(self, name string) string {
	small := filepath.Join(filepath.Dir(self), name)
	if info, err := os.Stat(small); err == nil && info.Mode().IsRegular() {
		return small
	}
	return self
}

// addHosts lists what runs apps on this system.
func addHosts(cfg *agent.Config, self string, paths ipc.Paths, log *slog.Logger) {
	state := filepath.Join(paths.Runtime, "linux")
	cfg.Image = linuxhost.New(linuxhost.Config{Self: beside(self, "consentry-launch"), StateDir: state, Log: log})
	cfg.VM = vmhost.NewHost(vmhost.HostConfig{
		Driver: qemu.New(qemu.Config{Self: self, StateDir: filepath.Join(paths.Runtime, "vm"), Accel: os.Getenv(accelEnv), Log: log}),
		Kernel: guestFile(self, "kernel"), Init: guestFile(self, "initramfs"), Others: guestFile(self, ""), Log: log,
	})
	cfg.Workers = &worker.Pool{Self: beside(self, "consentry-worker"), Stderr: os.Stderr, Waits: worker.Confined}
	cfg.Module = &worker.Host{Workers: &worker.Pool{Self: self, Stderr: os.Stderr, Waits: worker.Warm}, Log: log}
	cfg.Cleanup = func(ctx context.Context) error { return linuxhost.Cleanup(ctx, state, log) }
}

// accelEnv is "kvm" or "tcg", an emulated processor; without it KVM is used where
// the machine has it.
const accelEnv = "CONSENTRY_VM_ACCEL"

// guestEnv names the folder of the guest's kernel and initramfs; without it they
// lie in guest, beside this program.
const guestEnv = "CONSENTRY_GUEST"

func guestFile(self, name string) string {
	dir := os.Getenv(guestEnv)
	if dir == "" {
		dir = filepath.Join(filepath.Dir(self), "guest")
	}
	return filepath.Join(dir, name)
}

// asUser runs the agent of an ordinary user: in a user namespace, by a process
// that this one waits for.
func asUser(ctx context.Context, log *slog.Logger) (handled bool, err error) {
	if !rootless.Needed() {
		return false, nil
	}
	if !linuxhost.Delegated() {
		if err := rootless.Scope(ctx); err != nil { // does not return where it succeeds
			log.Warn("no cgroup was delegated, apps have no limits by cgroups", "reason", err)
		}
	}
	if err := linuxhost.Settle(); err != nil {
		return true, err
	}
	return true, rootless.Run(ctx, log)
}

// settle finds the place of the agent's process; the context ends with what
// started it.
func settle(ctx context.Context) (context.Context, context.CancelFunc, error) {
	ctx, cancel := rootless.Attach(ctx)
	if err := linuxhost.Settle(); err != nil {
		cancel()
		return nil, nil, err
	}
	return ctx, cancel, nil
}
