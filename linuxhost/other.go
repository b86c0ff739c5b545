//go:build !linux

package linuxhost

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/consentry/consentry/sandbox"
)

var errLinuxOnly = fmt.Errorf("%w: the native Linux host needs a Linux kernel; on this system apps run in a microVM", sandbox.ErrNotSupported)

// Config is what a Host needs.
type Config struct {
	Self     string
	StateDir string
	Log      *slog.Logger
	Guest    *Guest
}

// Guest is what the host of a microVM has done already.
type Guest struct {
	Card string
}

// Host refuses: this system is not Linux.
type Host struct{}

// New returns a Host that refuses.
func New(Config) *Host { return &Host{} }

// Close has nothing to take away here.
func (*Host) Close() error { return nil }

// Name is "linux".
func (*Host) Name() string { return "linux" }

// Check says that this system is not Linux.
func (*Host) Check(context.Context) error { return errLinuxOnly }

// Start says that this system is not Linux.
func (*Host) Start(context.Context, sandbox.Spec, sandbox.Broker) (sandbox.Instance, error) {
	return nil, errLinuxOnly
}

// Main has no hidden subcommands here.
func Main(string, []string) (exitCode int, handled bool) { return 0, false }

// Cleanup has nothing to remove here.
func Cleanup(context.Context, string, *slog.Logger) error { return nil }

// Worker says what a confined worker process still needs.
type Worker struct {
	Wasm                bool
	ReadDirs, WriteDirs []string
}

// ConfineWorker has no walls to raise on this system.
func ConfineWorker(Worker) error { return errLinuxOnly }
