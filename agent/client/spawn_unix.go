//go:build unix

package client

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"github.com/consentry/consentry/agent/ipc"
)

// Spawn returns a Starter that runs exe detached: in a session of its own, in
// the root folder, with its output in the log and no other open file of ours.
// It outlives the caller.
func Spawn(exe string, args ...string) Starter {
	return func(p ipc.Paths) (<-chan error, error) {
		log, err := os.OpenFile(p.Log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
		if err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
		defer log.Close()                 //nolint:errcheck // the agent has its own
		cmd := exec.Command(exe, args...) //nolint:noctx // it outlives every context of ours
		cmd.Dir = "/"
		if os.Getenv(ipc.HomeEnv) != "" { // it may be relative to the folder we are in
			cmd.Env = append(os.Environ(), ipc.HomeEnv+"="+p.Data)
		}
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := keepFiles(); err != nil {
			return nil, err
		}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		ended := make(chan error, 1)
		// This goroutine ends with the agent or with this process.
		go func() { ended <- endOf(cmd.Wait()) }()
		return ended, nil
	}
}

// keepFiles keeps open files that our own parent left to us, a lock or a pipe
// of a script, from going on to the agent: it would hold them for days.
func keepFiles() error {
	entries, err := os.ReadDir("/dev/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, e := range entries {
		if fd, err := strconv.Atoi(e.Name()); err == nil && fd > 2 {
			syscall.CloseOnExec(fd)
		}
	}
	return nil
}
