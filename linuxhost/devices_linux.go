package linuxhost

import (
	"errors"
	"fmt"
	"os"
	"path"

	"golang.org/x/sys/unix"
)

// mountAt mounts a file system of a type on a directory of the stage.
func (b *builder) mountAt(dir, kind string, flags uintptr, options string) error {
	if err := b.stage.mkdirAll(dir); err != nil {
		return err
	}
	at, err := b.stage.openOwn(dir)
	if err != nil {
		return err
	}
	defer at.Close()
	if err := unix.Mount(kind, procFD(at), kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", kind, dir, err)
	}
	return nil
}

func (b *builder) mountProc() error { return b.mountAt("/proc", "proc", safeMount, "") }

// mountSys shows the sandbox's own interfaces, and facts about the machine
// that any user may read. Nothing in it can be written.
func (b *builder) mountSys() error {
	return b.mountAt("/sys", "sysfs", safeMount|unix.MS_RDONLY, "")
}

func (b *builder) mountDev() error {
	if err := b.mountAt("/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_STRICTATIME, "mode=0755,size=64k"); err != nil {
		return err
	}
	for _, m := range []struct{ dir, kind, options string }{
		{"/dev/pts", "devpts", "newinstance,ptmxmode=0666,mode=0620"},
		{"/dev/shm", "tmpfs", "mode=1777,size=64m"},
		{"/dev/mqueue", "mqueue", ""},
	} {
		flags := uintptr(safeMount)
		if m.kind == "devpts" {
			flags &^= unix.MS_NODEV
		}
		if err := b.mountAt(m.dir, m.kind, flags, m.options); err != nil {
			return err
		}
	}
	for _, name := range deviceNames {
		if err := b.bindDevice(name); err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
	}
	return b.linkDev()
}

func (b *builder) bindDevice(name string) error {
	device := b.devices[name]
	defer device.Close()
	if err := b.stage.replace("/dev/"+name, ""); err != nil {
		return err
	}
	at, err := b.stage.open("/dev/"+name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer at.Close()
	return unix.MoveMount(int(device.Fd()), "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// devLinks are the links every program expects.
var devLinks = map[string]string{
	"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
	"ptmx": "pts/ptmx",
}

func (b *builder) linkDev() error {
	dev, err := b.stage.openOwn("/dev")
	if err != nil {
		return err
	}
	defer dev.Close()
	for name, to := range devLinks {
		if err := unix.Symlinkat(to, int(dev.Fd()), name); err != nil {
			return fmt.Errorf("/dev/%s: %w", name, err)
		}
	}
	return nil
}

// maskedFiles and maskedDirs tell too much about the machine, or do things to
// it; readOnlyDirs are for reading.
var (
	maskedFiles = []string{
		"/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
		"/proc/sched_debug", "/proc/kallsyms", "/proc/kmsg", "/proc/kpagecount", "/proc/kpageflags", "/proc/kpagecgroup",
		"/proc/sysrq-trigger", "/proc/vmallocinfo", "/proc/config.gz", "/proc/interrupts",
	}
	maskedDirs = []string{
		"/proc/acpi", "/proc/asound", "/proc/scsi", "/proc/bus", "/proc/irq", "/proc/driver", "/proc/dynamic_debug",
		"/sys/firmware", "/sys/fs", "/sys/kernel", "/sys/power", "/sys/module", "/sys/block", "/sys/bus", "/sys/dev",
		"/sys/devices/virtual/powercap", "/sys/devices/virtual/dmi", "/sys/class/dmi",
	}
	readOnlyDirs = []string{"/proc/sys", "/proc/fs"}
)

func (b *builder) maskPaths() error {
	for _, name := range maskedFiles {
		if err := b.onProc(name, func(at *os.File) error {
			return bindOver(b.stage, "/dev/null", at, unix.MOUNT_ATTR_RDONLY)
		}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range maskedDirs {
		if err := b.onProc(name, func(at *os.File) error {
			return unix.Mount("mask", procFD(at), "tmpfs", safeMount|unix.MS_RDONLY, "size=4k,mode=0555,nr_inodes=1")
		}); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for _, name := range readOnlyDirs {
		if err := b.onProc(name, func(at *os.File) error { return bindOver(b.stage, name, at, unix.MOUNT_ATTR_RDONLY) }); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// onProc runs f on a file of /proc or /sys, if the kernel has it.
func (b *builder) onProc(name string, f func(*os.File) error) error {
	at, err := b.stage.open(name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ELOOP) { // absent, or a link of sysfs itself, whose target is masked or harmless
		return nil
	}
	if err != nil {
		return err
	}
	defer at.Close()
	var fs unix.Statfs_t
	if err := unix.Fstatfs(int(at.Fd()), &fs); err != nil {
		return err
	}
	if fs.Type == unix.TMPFS_MAGIC && path.Dir(name) != "/proc" {
		return nil // below a mask
	}
	if fs.Type != unix.PROC_SUPER_MAGIC && fs.Type != unix.SYSFS_MAGIC {
		return errors.New("is not the kernel's")
	}
	return f(at)
}

// bindOver mounts a file or directory of in over at.
func bindOver(in *rootFS, name string, at *os.File, attributes uint64) error {
	from, err := in.open(name, unix.O_PATH, unix.RESOLVE_NO_SYMLINKS)
	if err != nil {
		return err
	}
	defer from.Close()
	fd, err := unix.OpenTree(int(from.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Attr_set: attributes}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return err
	}
	return unix.MoveMount(fd, "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}
