//go:build unix

package worker

import (
	"os/exec"
	"syscall"
)

// detach keeps the terminal's signals, which are for the agent or the app, away
// from the worker.
func detach(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
}
