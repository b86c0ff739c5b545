package bpf

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// pinRoot is where every Linux system has its BPF file system, or could.
const pinRoot = "/sys/fs/bpf"

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// makePins returns with an empty directory for pins at path.
func makePins(path string) error {
	if err := Lower(path); err != nil {
		return err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return fmt.Errorf("directory of pins: %w", err)
	}
	return nil
}

// PinsOfUsers is the directory of the pins that consentry-bpf makes.
const PinsOfUsers = pinRoot + "/consentry-users"

// MountPinRoot mounts the BPF file system where systemd would have done it.
func MountPinRoot() error {
	var found unix.Statfs_t
	if err := unix.Statfs(pinRoot, &found); err != nil {
		return fmt.Errorf("%s: %w", pinRoot, err)
	}
	if found.Type == unix.BPF_FS_MAGIC {
		return nil
	}
	if err := unix.Mount("bpf", pinRoot, "bpf", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("mount bpf on %s: %w", pinRoot, err)
	}
	return nil
}

// Warm has the library look around the machine once, for what a confined process
// may not look at: mounts, in search of BPF tokens.
func Warm() error {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1})
	if err != nil {
		return notSupported(err)
	}
	return m.Close()
}

// Lower takes a fence down: with its pins gone, nothing holds its programs. It
// is called when no sandbox of it runs. A directory that is not there is no
// error.
func Lower(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("remove pinned programs: %w", err)
	}
	return nil
}
