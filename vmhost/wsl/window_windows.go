package wsl

import (
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// withoutWindow keeps a console from opening: the agent has none.
func withoutWindow(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true, CreationFlags: windows.CREATE_NO_WINDOW}
}
