package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sort"

	"github.com/consentry/consentry/internal/vmtest/guestjob"
	"golang.org/x/sys/unix"
)

type mountPoint struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

// optional file systems are those that a kernel may be built without.
func (m mountPoint) optional() bool {
	switch m.kind {
	case "securityfs", "bpf", "tracefs", "cgroup2":
		return true
	}
	return false
}

const quietFlags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

var mounts = []mountPoint{
	{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=755"},
	{"devpts", "/dev/pts", "devpts", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=620,ptmxmode=666"},
	{"shm", "/dev/shm", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
	{"proc", "/proc", "proc", quietFlags, ""},
	{"sysfs", "/sys", "sysfs", quietFlags, ""},
	{"securityfs", "/sys/kernel/security", "securityfs", quietFlags, ""},
	{"cgroup2", "/sys/fs/cgroup", "cgroup2", quietFlags, ""},
	{"bpf", "/sys/fs/bpf", "bpf", quietFlags, "mode=700"},
	{"tracefs", "/sys/kernel/tracing", "tracefs", quietFlags, ""},
	{"run", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=755"},
	{"tmp", "/tmp", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=1777"},
}

func mount(m mountPoint) error {
	// On sysfs the directory is there or the kernel lacks the feature.
	if err := os.MkdirAll(m.target, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
		return fmt.Errorf("mount %s on %s: %w", m.kind, m.target, err)
	}
	return nil
}

// loadModules loads them in the order of their names, dependencies first.
func loadModules() error {
	paths, err := filepath.Glob(filepath.Join(guestjob.Modules, "*.ko"))
	if err != nil {
		return err
	}
	sort.Strings(paths)
	for _, path := range paths {
		if err := loadModule(path); err != nil {
			return fmt.Errorf("module %s: %w", filepath.Base(path), err)
		}
	}
	return nil
}

func loadModule(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	return unix.FinitModule(int(file.Fd()), "", 0)
}

func loopbackUp() error {
	sock, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	defer unix.Close(sock)
	request, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	request.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(sock, unix.SIOCSIFFLAGS, request); err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	return nil
}

// openSerial opens a serial port that passes bytes as they are.
func openSerial(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	settings, err := unix.IoctlGetTermios(int(file.Fd()), unix.TCGETS)
	if err == nil {
		settings.Oflag &^= unix.OPOST
		settings.Lflag &^= unix.ECHO | unix.ICANON | unix.ISIG
		settings.Cflag = settings.Cflag&^unix.CBAUD | unix.B115200
		err = unix.IoctlSetTermios(int(file.Fd()), unix.TCSETS, settings)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("serial port %s: %w", path, err)
	}
	return file, nil
}

// drain waits until all that was written has left.
func drain(serial *os.File) error {
	return unix.IoctlSetInt(int(serial.Fd()), unix.TCSBRK, 1)
}
