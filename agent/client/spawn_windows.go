package client

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/consentry/consentry/agent/ipc"
)

// Spawn returns a Starter that runs exe detached: without a console, in the
// system's folder, with its output in the log. Files go on to a process here only
// by name. It outlives the caller.
func Spawn(exe string, args ...string) Starter {
	return func(p ipc.Paths) (<-chan error, error) {
		log, err := os.OpenFile(p.Log(), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err != nil {
			return nil, fmt.Errorf("log: %w", err)
		}
		defer log.Close()                 //nolint:errcheck // the agent has its own
		cmd := exec.Command(exe, args...) //nolint:noctx // it outlives every context of ours
		cmd.Env = os.Environ()
		if os.Getenv(ipc.HomeEnv) != "" { // it may be relative to the folder we are in
			cmd.Env = append(cmd.Env, ipc.HomeEnv+"="+p.Data)
		}
		if cmd.Dir, err = windows.GetSystemDirectory(); err != nil {
			return nil, fmt.Errorf("find the system's folder: %w", err)
		}
		cmd.Stdout, cmd.Stderr = log, log
		cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.DETACHED_PROCESS | windows.CREATE_NEW_PROCESS_GROUP}
		if err := cmd.Start(); err != nil {
			return nil, err
		}
		ended := make(chan error, 1)
		// This goroutine ends with the agent or with this process.
		go func() { ended <- endOf(cmd.Wait()) }()
		return ended, nil
	}
}
