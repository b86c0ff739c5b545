//go:build !linux

package worker

import "os/exec"

func startCalm(cmd *exec.Cmd) error { return cmd.Start() }
