package qemu

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost"
	"github.com/consentry/consentry/vmhost"
)

// place is the file system of launcher, virtiofsd and QEMU: the system's
// programs, kernel and initramfs, a few devices, and the app's files.
type place struct {
	call  bootCall
	root  string // before it is the root
	trees linuxhost.GuestTrees
}

// placeOfFiles is what virtiofsd shows to the guest.
const placeOfFiles = "/files"

type placeStep struct {
	name string
	do   func(*place) error
}

var placeSteps = []placeStep{
	{"private mounts", (*place).private},
	{"files of the app", (*place).openTrees},
	{"root", (*place).makeRoot},
	{"system", (*place).bindSystem},
	{"kernel", (*place).bindKernel},
	{"devices", (*place).bindDevices},
	{"files", (*place).attachTrees},
	{"pivot", (*place).pivot},
}

func (p *place) make() error {
	defer p.trees.Close()
	for _, s := range placeSteps {
		if err := s.do(p); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// private also shows the processes of the launcher's own namespace.
func (*place) private() error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	return mountProc("/proc")
}

func mountProc(at string) error {
	return unix.Mount("proc", at, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "")
}

func (p *place) openTrees() (err error) {
	p.trees, err = linuxhost.OpenGuestTrees(p.call.Spec, p.call.StateDir)
	return err
}

func (p *place) makeRoot() error {
	p.root = p.call.StateDir // hidden below it, in this namespace only
	if err := unix.Mount("root", p.root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=1m"); err != nil {
		return err
	}
	for _, dir := range []string{"boot", "dev", "etc", "proc", "run", "tmp", "usr", placeOfFiles} {
		if err := os.Mkdir(filepath.Join(p.root, dir), 0o755); err != nil {
			return err
		}
	}
	return mountProc(filepath.Join(p.root, "proc"))
}

// systemDirs hold programs and their libraries.
var systemDirs = []string{"/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin"}

func (p *place) bindSystem() error {
	for _, dir := range systemDirs {
		info, err := os.Lstat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return err
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(dir)
			if err == nil {
				err = os.Symlink(to, filepath.Join(p.root, dir))
			}
			if err != nil {
				return err
			}
			continue
		}
		if err := p.bind(dir, dir, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOSUID); err != nil {
			return err
		}
	}
	return p.bindIfThere("/etc/ld.so.cache", unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NODEV)
}

func (p *place) bindKernel() error {
	const readOnly = unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NOEXEC
	if err := p.bind(p.call.Kernel, kernelPath, readOnly); err != nil {
		return err
	}
	return p.bind(p.call.Initramfs, initramfsPath, readOnly)
}

func (p *place) bindDevices() error {
	for _, dev := range []string{"/dev/null", "/dev/urandom"} {
		if err := p.bind(dev, dev, unix.MOUNT_ATTR_NOEXEC); err != nil {
			return err
		}
	}
	if p.call.Plan.Accel != "kvm" {
		return nil
	}
	return p.bind("/dev/kvm", "/dev/kvm", unix.MOUNT_ATTR_NOEXEC)
}

func (p *place) bindIfThere(path string, attributes uint64) error {
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return p.bind(path, path, attributes)
}

// bind shows a file or folder of the host in the new root.
func (p *place) bind(from, to string, attributes uint64) error {
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	at := filepath.Join(p.root, to)
	if info.IsDir() {
		err = os.MkdirAll(at, 0o755)
	} else {
		var f *os.File
		if f, err = os.OpenFile(at, os.O_CREATE|os.O_EXCL, 0o644); err == nil {
			err = f.Close()
		}
	}
	if err != nil {
		return err
	}
	if err := unix.Mount(from, at, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("bind %s: %w", from, err)
	}
	attr := unix.MountAttr{Attr_set: attributes}
	if err := unix.MountSetattr(unix.AT_FDCWD, at, unix.AT_RECURSIVE, &attr); err != nil {
		return fmt.Errorf("attributes of %s: %w", from, err)
	}
	return nil
}

func (p *place) attachTrees() error {
	attach := func(tree *os.File, name string) error {
		at := filepath.Join(p.root, placeOfFiles, name)
		if err := os.MkdirAll(at, 0o755); err != nil {
			return errors.Join(err, tree.Close())
		}
		return linuxhost.AttachTree(tree, at)
	}
	for n, tree := range p.trees.Layers {
		if err := attach(tree, vmhost.Layer(n)); err != nil {
			return err
		}
	}
	for n, tree := range p.trees.Mounts {
		if err := attach(tree, vmhost.Given(n)); err != nil {
			return err
		}
	}
	if p.trees.Writable != nil {
		return attach(p.trees.Writable, vmhost.Writable)
	}
	return nil
}

// pivot lets go of the host's file system.
func (p *place) pivot() error {
	if err := unix.Chdir(p.root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return err
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the host: %w", err)
	}
	return unix.Chdir("/")
}
