package vmtest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/consentry/consentry/kernel/initramfs"
)

// guestModules are what guestinit needs of a kernel that has modules.
var guestModules = []string{"virtio_pci", "virtio_console", "virtiofs", "virtio_net", "virtio_rng", "virtio_balloon", "overlay", "9p", "9pnet_fd"}

// guestKernels are the kernels for a processor: ours, by the name that
// scripts/guest-kernel.sh gives it, and a distribution's.
var guestKernels = map[string]struct{ ours, fetched string }{
	"amd64": {"x86_64", ForGuests},
	"arm64": {"arm64", ForARM64},
}

// Guest is a folder with kernel and initramfs for machines of a processor
// (GOARCH): the kernel that scripts/guest-kernel.sh built, or a distribution's
// where it did not, and where CONSENTRY_GUEST_KERNEL is set. It skips the test
// where there is neither.
func Guest(t testing.TB, arch string) (dir string) {
	t.Helper()
	return GuestOf(t, arch, "github.com/consentry/consentry/cmd/consentry-guest")
}

// GuestOf is Guest with another program as the first process.
func GuestOf(t testing.TB, arch, pkg string) (dir string) {
	t.Helper()
	kernel, modules, err := guestKernel(arch)
	if err != nil {
		t.Skip(err)
	}
	dir = t.TempDir()
	program := filepath.Join(dir, "guest")
	if err := goBuild(t.Context(), arch, "build", "-trimpath", "-ldflags=-s -w", "-o", program, pkg); err != nil {
		t.Fatal(err)
	}
	packed := filepath.Join(dir, "initramfs")
	f, err := os.Create(packed)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(initramfs.Guest(program, modules).Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	// Read by the id that QEMU has.
	if err := errors.Join(os.Chmod(packed, 0o644), os.Remove(program), os.Symlink(kernel, filepath.Join(dir, "kernel"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func guestKernel(arch string) (image string, modules []string, err error) {
	k, known := guestKernels[arch]
	if !known {
		return "", nil, fmt.Errorf("no kernel for guests of %s is known", arch)
	}
	if os.Getenv("CONSENTRY_GUEST_KERNEL") == "" {
		if image, err := builtKernel(k.ours); image != "" || err != nil {
			return image, nil, err
		}
	}
	return Kernel(k.fetched, guestModules...)
}

// builtKernel is the last one of ours that was built, "" for none.
func builtKernel(name string) (newest string, err error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	built, err := filepath.Glob(filepath.Join(root, ".cache", "guest-kernel", name+"-*", "kernel"))
	if err != nil {
		return "", err
	}
	var last os.FileInfo
	for _, path := range built {
		info, err := os.Stat(path)
		if err != nil {
			return "", err
		}
		if last == nil || info.ModTime().After(last.ModTime()) {
			newest, last = path, info
		}
	}
	return newest, nil
}
