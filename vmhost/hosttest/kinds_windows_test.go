//go:build hosttest

package hosttest

import (
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/hcs"
	"github.com/consentry/consentry/vmhost/wsl"
)

// kinds are WSL, in the distro that consentry has here, and Hyper-V.
func kinds(t *testing.T) []kind {
	guest := filepath.Join(t.TempDir(), "consentry-guest")
	buildForLinux(t, guest, "github.com/consentry/consentry/cmd/consentry-guest")
	inWSL := wsl.New(wsl.Config{WSL: "wsl.exe", Guest: guest, Dir: t.TempDir(), Log: logTo(t)})
	machines := hcs.New(hcs.Config{Dir: t.TempDir(), Log: logTo(t)})
	return []kind{
		{"wsl", vmhost.HostConfig{Driver: inWSL, Log: logTo(t)}, true},
		{"hcs", vmhost.HostConfig{Driver: machines, Kernel: guestFile(t, "kernel"), Init: guestFile(t, "initramfs"), Log: logTo(t)}, true},
	}
}
