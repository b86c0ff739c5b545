package wsl_test

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// Here a distro is a folder that is entered for real: mounts of its own, the
// folder as root, and in it what WSL mounts in one.

func tempDir(t testing.TB) string { return t.TempDir() }

func removeDistro(dir string) error { return os.RemoveAll(dir) }

const distroAddress = "172.23.64.5"

const enterRole = "enter-distro"

func unpack(archive, dir string) error {
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	for r := tar.NewReader(f); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		path := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			if err := os.MkdirAll(path, 0o755); err != nil {
				return err
			}
			continue
		}
		if h.Typeflag == tar.TypeSymlink {
			if err := os.Symlink(h.Linkname, path); err != nil {
				return err
			}
			continue
		}
		to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, os.FileMode(h.Mode))
		if err != nil {
			return err
		}
		_, err = io.Copy(to, r)
		if err := errors.Join(err, to.Close()); err != nil {
			return err
		}
	}
}

// enter runs a program in a distro. Files of world plant what is wrong with it.
func enter(world, distro string, program []string) int {
	cmd := exec.Command("/proc/self/exe", append([]string{distro, world}, program...)...)
	cmd.Args[0] = enterRole
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if _, err := os.Stat(filepath.Join(world, ownNetwork)); err == nil {
		cmd.SysProcAttr.Cloneflags |= unix.CLONE_NEWNET
	}
	err := cmd.Run()
	var ended *exec.ExitError
	if errors.As(err, &ended) {
		return max(ended.ExitCode(), 1)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

const (
	plantDrive   = "plant-drive"
	plantInterop = "plant-interop"
	ownNetwork   = "own-network" // with an eth0, as WSL's machine has
)

func role(args []string) (code int, mine bool) {
	if len(args) < 4 || args[0] != enterRole {
		return 0, false
	}
	fmt.Fprintln(os.Stderr, "pretend wsl:", inside(args[1], args[2], args[3:]))
	return 1, true
}

// inside makes folder the root and becomes the program.
func inside(folder, world string, program []string) error {
	planted := func(name string) bool {
		_, err := os.Stat(filepath.Join(world, name))
		return err == nil
	}
	drive := planted(plantDrive)
	if planted(plantInterop) { // as Microsoft's init does where interop is on
		if err := errors.Join(os.MkdirAll(folder+"/run/WSL", 0o777), os.WriteFile(folder+"/run/WSL/2_interop", nil, 0o777)); err != nil {
			return err
		}
		defer os.Remove(folder + "/run/WSL/2_interop")
	}
	if planted(ownNetwork) {
		for _, words := range []string{"tuntap add dev eth0 mode tap", "address add " + distroAddress + "/20 dev eth0", "link set eth0 up", "link set lo up"} {
			if out, err := exec.Command("ip", strings.Fields(words)...).CombinedOutput(); err != nil {
				return fmt.Errorf("ip %s: %w: %s", words, err, out)
			}
		}
	}
	mounts := []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", unix.MS_REC | unix.MS_PRIVATE},
		{folder, folder, "", unix.MS_BIND},
		{"/proc", folder + "/proc", "", unix.MS_BIND | unix.MS_REC},
		{"/sys", folder + "/sys", "", unix.MS_BIND | unix.MS_REC},
		{"/dev", folder + "/dev", "", unix.MS_BIND | unix.MS_REC},
	}
	for _, m := range mounts {
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			return fmt.Errorf("%s: %w", m.target, err)
		}
	}
	if drive {
		if err := errors.Join(os.MkdirAll(folder+"/mnt/c", 0o755), unix.Mount(`C:\`, folder+"/mnt/c", "tmpfs", 0, "")); err != nil {
			return err
		}
	}
	if err := errors.Join(unix.Chdir(folder), unix.PivotRoot(".", "."), unix.Unmount(".", unix.MNT_DETACH), unix.Chdir("/")); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	return unix.Exec(program[0], program, []string{"PATH=/bin", "WSL_DISTRO_NAME=consentry"})
}
