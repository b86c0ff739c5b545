//go:build !windows

package wsl

import "os/exec"

func withoutWindow(*exec.Cmd) {}
