package linuxhost

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// placeholder is an empty file system that stands where a folder may be given.
// The kernel tells of every touch over wire and waits for its answer; the app's
// worker answers. Where nobody does, touches fail.
type placeholder struct {
	tree *os.File // the mount
	wire *os.File // of /dev/fuse
}

// CanAsk says whether apps here may ask for folders while they run.
func (h *Host) CanAsk() error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("%w: folders that are asked for: the agent must run as root", sandbox.ErrNotSupported)
	}
	if !exists(fuseDevice) {
		return fmt.Errorf("%w: folders that are asked for: no %s (modprobe fuse)", sandbox.ErrNotSupported, fuseDevice)
	}
	return nil
}

const fuseDevice = "/dev/fuse"

// newPlaceholder makes one, detached. Only the sandbox's own processes can
// reach it: no path outside leads there.
func newPlaceholder() (*placeholder, error) {
	dev, err := os.OpenFile(fuseDevice, os.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: folders that are asked for need FUSE (modprobe fuse): %w", sandbox.ErrNotSupported, err)
	}
	tree, err := mountFUSE(dev)
	if err != nil {
		return nil, errors.Join(err, dev.Close())
	}
	return &placeholder{tree: tree, wire: dev}, nil
}

func mountFUSE(dev *os.File) (*os.File, error) {
	fsfd, err := unix.Fsopen("fuse", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("placeholder: %w", err)
	}
	defer unix.Close(fsfd)
	for _, option := range []struct{ key, value string }{
		{"source", "consentry"}, {"fd", strconv.Itoa(int(dev.Fd()))},
		{"rootmode", "40000"}, {"user_id", "0"}, {"group_id", "0"},
	} {
		if err := unix.FsconfigSetString(fsfd, option.key, option.value); err != nil {
			return nil, fmt.Errorf("placeholder: option %s: %w", option.key, err)
		}
	}
	// Who may go there is decided by what mounts it: the app's users do.
	if err := unix.FsconfigSetFlag(fsfd, "allow_other"); err != nil {
		return nil, fmt.Errorf("placeholder: option allow_other: %w", err)
	}
	if err := unix.FsconfigCreate(fsfd); err != nil {
		return nil, fmt.Errorf("placeholder: %w", err)
	}
	fd, err := unix.Fsmount(fsfd, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC)
	if err != nil {
		return nil, fmt.Errorf("placeholder: %w", err)
	}
	return os.NewFile(uintptr(fd), "placeholder"), nil
}

func (p *placeholder) close() { closeSet([]*os.File{p.tree, p.wire}) }
