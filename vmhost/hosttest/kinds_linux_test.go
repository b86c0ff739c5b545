//go:build hosttest

package hosttest

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/consentry/consentry/internal/vmtest"
	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/qemu"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if code, mine := qemu.Main(os.Args[1]); mine {
			os.Exit(code)
		}
		if code, mine := linuxhost.Main(os.Args[1], os.Args[2:]); mine {
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// kinds is QEMU, on KVM where there is one.
func kinds(t *testing.T) []kind {
	self, err := os.Executable()
	must(t, err)
	guest := vmtest.Guest(t, runtime.GOARCH)
	driver := qemu.New(qemu.Config{Self: self, StateDir: t.TempDir(), Accel: os.Getenv("CONSENTRY_VM_ACCEL"), Log: logTo(t)})
	return []kind{{name: "qemu", config: vmhost.HostConfig{Driver: driver, Kernel: filepath.Join(guest, "kernel"), Init: filepath.Join(guest, "initramfs"), Log: logTo(t)}}}
}
