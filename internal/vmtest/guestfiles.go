package vmtest

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/consentry/consentry/kernel/initramfs"
)

// guestModules are what guestinit needs of a kernel that has modules.
var guestModules = []string{"virtio_pci", "virtio_console", "virtiofs", "virtio_net", "virtio_rng", "virtio_balloon", "overlay"}

// Guest is a kernel and an initramfs with guestinit: the kernel that
// scripts/guest-kernel.sh built, or a distribution's where it did not, and where
// CONSENTRY_GUEST_KERNEL is set. It skips the test where there is neither.
func Guest(t testing.TB) (kernel, packed string) {
	t.Helper()
	kernel, modules, err := guestKernel()
	if err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "guest")
	if err := goBuild(t.Context(), "build", "-trimpath", "-ldflags=-s -w", "-o", program, "github.com/consentry/consentry/cmd/consentry-guest"); err != nil {
		t.Fatal(err)
	}
	packed = filepath.Join(dir, "initramfs")
	f, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(initramfs.Guest(program, modules).Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	// Read by the id that QEMU has.
	if err := errors.Join(os.Chmod(packed, 0o644), os.Remove(program)); err != nil {
		t.Fatal(err)
	}
	return kernel, packed
}

func guestKernel() (image string, modules []string, err error) {
	if runtime.GOARCH != "amd64" {
		return "", nil, errors.New("needs an amd64 machine: the guests' kernels are amd64")
	}
	root, err := moduleRoot()
	if err != nil {
		return "", nil, err
	}
	built, err := filepath.Glob(filepath.Join(root, ".cache", "guest-kernel", "x86_64-*", "kernel"))
	if err == nil && len(built) > 0 && os.Getenv("CONSENTRY_GUEST_KERNEL") == "" {
		return built[0], nil, nil
	}
	return Kernel(Backports, guestModules...)
}
