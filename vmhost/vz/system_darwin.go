package vz

import (
	"context"
	"fmt"
	"os/exec"

	"golang.org/x/sys/unix"
)

// checkSystem says what this Mac lacks.
func checkSystem(ctx context.Context, helper string) error {
	version, err := unix.Sysctl("kern.osproductversion")
	if err != nil {
		return fmt.Errorf("version of macOS: %w", err)
	}
	support, err := unix.SysctlUint32("kern.hv_support")
	if err != nil {
		support = 0
	}
	signature, err := exec.CommandContext(ctx, "/usr/bin/codesign", "--display", "--entitlements", "-", "--xml", helper).Output()
	if err != nil {
		signature = nil // without one it has no entitlement either
	}
	return judge(version, support == 1, string(signature))
}
