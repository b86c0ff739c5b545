//go:build hosttest

package hosttest

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/vmhost"
	"github.com/consentry/consentry/vmhost/vz"
)

// kinds is Apple's Virtualization framework; its helper is built and signed here.
func kinds(t *testing.T) []kind {
	dir := t.TempDir()
	helper := filepath.Join(dir, "consentry-vz")
	for _, step := range [][]string{
		{"go", "build", "-o", helper, "../../cmd/consentry-vz"},
		{"codesign", "--sign", "-", "--force", "--entitlements", "../../packaging/darwin/entitlements.plist", helper},
	} {
		if out, err := exec.Command(step[0], step[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", step, err, out)
		}
	}
	driver := vz.New(vz.Config{Helper: helper, Dir: filepath.Join(dir, "vz"), Log: logTo(t)})
	return []kind{{"vz", vmhost.HostConfig{Driver: driver, Kernel: guestFile(t, "kernel"), Init: guestFile(t, "initramfs"), Log: logTo(t)}, true}}
}
