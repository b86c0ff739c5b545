package linuxhost

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/linuxhost/bpf"
	"github.com/consentry/consentry/sandbox"
)

// maxParts bounds the rules for what lies in one folder: each is a mount.
const maxParts = 256

// folderTree is a given folder as one detached tree of mounts: the folder,
// parts of it that have other rights, covers over what leads elsewhere. What is
// inside has its rights from the first moment it is seen.
type folderTree struct {
	tree   *os.File
	ids    []uint64    // of its mounts, as mountinfo has them
	mounts []bpf.Mount // of those that may be read
}

// checkFolder refuses what no agent of ours says.
func checkFolder(f sandbox.Folder) error {
	if len(f.Parts) > maxParts {
		return fmt.Errorf("%w: %d rules for parts of %s, more than %d", sandbox.ErrInvalid, len(f.Parts), f.Source, maxParts)
	}
	for _, p := range f.Parts {
		if !fs.ValidPath(p.Path) || p.Path == "." {
			return fmt.Errorf("%w: part %q of a folder", sandbox.ErrInvalid, p.Path)
		}
	}
	return nil
}

// elsewhere runs f on a thread of its own, which ends with it, where mounts can
// be made that nobody else sees. A thread with a mount namespace of its own can
// also enter another one.
func elsewhere(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		err := unix.Unshare(unix.CLONE_FS | unix.CLONE_NEWNS)
		if err == nil {
			err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
		}
		if err == nil {
			err = f()
		}
		done <- err
	}()
	return <-done
}

// assemble makes the tree of f. ids maps the ids of its files.
func assemble(f sandbox.Folder, ids *os.File) (made *folderTree, err error) {
	if err := checkFolder(f); err != nil {
		return nil, err
	}
	covered, err := channels(f.Source)
	if err != nil {
		return nil, err
	}
	err = elsewhere(func() error {
		source, err := openDir(f.Source) // here, where the assembly may hide it
		if err != nil {
			return err
		}
		defer source.Close()
		a := assembly{source: source, ids: ids}
		made, err = a.make(f, covered)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("give %s: %w", f.Source, err)
	}
	return made, nil
}

// assembly is the place where a folder is put together: a tmpfs that only this
// thread sees.
type assembly struct {
	source *os.File // the folder
	ids    *os.File
	parts  []sandbox.Part // that were found
}

const (
	assemblyRoot   = scaffoldDir + "/folder"
	assemblyClosed = scaffoldDir + "/closed" // a directory nobody may enter
	assemblyEmpty  = scaffoldDir + "/empty"  // a file without contents
	assemblySealed = scaffoldDir + "/sealed" // a file nobody may read
)

func (a *assembly) make(f sandbox.Folder, covered []string) (*folderTree, error) {
	if err := a.furnish(); err != nil {
		return nil, err
	}
	if err := a.attach(a.source, f.Write, unix.AT_FDCWD, assemblyRoot); err != nil {
		return nil, err
	}
	root, err := os.OpenFile(assemblyRoot, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	parts := slices.Clone(f.Parts)
	slices.SortStableFunc(parts, func(x, y sandbox.Part) int { return len(x.Path) - len(y.Path) }) // outer ones first
	for _, p := range parts {
		if err := a.part(root, p); err != nil {
			return nil, fmt.Errorf("%s: %w", p.Path, err)
		}
	}
	for _, name := range covered {
		if err := a.cover(root, name); err != nil {
			return nil, fmt.Errorf("cover %s: %w", name, err)
		}
	}
	return a.finish(f.Write)
}

func (a *assembly) furnish() error {
	if err := unix.Mount("folder", scaffoldDir, "tmpfs", safeMount, "mode=0700,size=64k"); err != nil {
		return fmt.Errorf("scaffold: %w", err)
	}
	errs := []error{os.Mkdir(assemblyRoot, 0o700), os.Mkdir(assemblyClosed, 0), os.Chmod(assemblyClosed, 0)}
	for name, mode := range map[string]fs.FileMode{assemblyEmpty: 0o444, assemblySealed: 0} {
		errs = append(errs, os.WriteFile(name, nil, mode), os.Chmod(name, mode))
	}
	return errors.Join(errs...)
}

// attach mounts what of the host is open below the assembly.
func (a *assembly) attach(source *os.File, write bool, at int, name string) error {
	attributes := uint64(0)
	if !write {
		attributes = unix.MOUNT_ATTR_RDONLY
	}
	tree, err := treeAt(source, attributes, a.ids)
	if err != nil {
		return err
	}
	flags := unix.MOVE_MOUNT_F_EMPTY_PATH
	if name == "" {
		flags |= unix.MOVE_MOUNT_T_EMPTY_PATH
	}
	return errors.Join(unix.MoveMount(int(tree.Fd()), "", at, name, flags), tree.Close())
}

// openPart opens what lies below the folder, without following a link. It is
// nil where there is nothing, or only below what is closed.
func openPart(root *os.File, name string) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(int(root.Fd()), name, &how)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// part mounts a part over itself with its own rights, or a cover where it may
// not be read.
func (a *assembly) part(root *os.File, p sandbox.Part) error {
	at, err := openPart(root, p.Path)
	if err != nil || at == nil {
		return err
	}
	defer at.Close()
	if p.Read {
		return a.readable(at, p)
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(at.Fd()), &st); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT == unix.S_IFDIR {
		return bindShut(assemblyClosed, at)
	}
	return bindShut(assemblySealed, at)
}

// readable mounts a part with its own rights.
func (a *assembly) readable(at *os.File, p sandbox.Part) error {
	source, err := openPart(a.source, p.Path)
	if err != nil || source == nil {
		return err
	}
	defer source.Close()
	a.parts = append(a.parts, p)
	return a.attach(source, p.Write, int(at.Fd()), "")
}

// cover hides a socket or FIFO of the host.
func (a *assembly) cover(root *os.File, name string) error {
	at, err := openPart(root, name)
	if err != nil || at == nil {
		return err
	}
	return errors.Join(bindShut(assemblyEmpty, at), at.Close())
}

// bindShut mounts what holds nothing over at.
func bindShut(from string, at *os.File) error {
	fd, err := unix.OpenTree(unix.AT_FDCWD, from, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	attr := unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC}
	if err := unix.MountSetattr(fd, "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return err
	}
	return unix.MoveMount(fd, "", int(at.Fd()), "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
}

// finish detaches the whole and learns the numbers of its mounts.
func (a *assembly) finish(write bool) (*folderTree, error) {
	devices, err := bpf.DevicesBelow(assemblyRoot)
	if err != nil {
		return nil, err
	}
	const recursive = 0x8000 // AT_RECURSIVE
	fd, err := unix.OpenTree(unix.AT_FDCWD, assemblyRoot, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|recursive)
	if err != nil {
		return nil, fmt.Errorf("detach: %w", err)
	}
	made := &folderTree{tree: os.NewFile(uintptr(fd), a.source.Name())}
	for _, p := range append([]sandbox.Part{{Path: ".", Read: true, Write: write}}, a.parts...) {
		if err := made.number(p, devices[filepath.Join(assemblyRoot, filepath.FromSlash(p.Path))]); err != nil {
			return nil, errors.Join(err, made.tree.Close())
		}
	}
	return made, nil
}

// number adds the mount of a part.
func (t *folderTree) number(p sandbox.Part, device uint32) error {
	at, err := openPart(t.tree, p.Path)
	if err != nil || at == nil {
		return err // it lies below what is closed
	}
	defer at.Close()
	id, err := bpf.MountID(at)
	if err != nil {
		return fmt.Errorf("number of the mount of %s: %w", p.Path, err)
	}
	rights := bpf.Read | bpf.Exec
	if p.Write {
		rights |= bpf.Write
	}
	t.ids = append(t.ids, id.Old)
	t.mounts = append(t.mounts, bpf.Mount{ID: id.Lasting, Device: device, Rights: rights})
	return nil
}

// inMountsOf runs f on a thread in the mount namespace of a process, which ends
// with it. There, fdDir names descriptors of ours: the sandbox's /proc knows no
// process of ours.
func inMountsOf(pid int, f func() error) error {
	return elsewhere(func() error {
		fds, err := os.OpenFile("/proc/thread-self/fd", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer fds.Close()
		ns, err := os.Open("/proc/" + strconv.Itoa(pid) + "/ns/mnt")
		if err != nil {
			return fmt.Errorf("mount namespace: %w", err)
		}
		defer ns.Close()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNS); err != nil {
			return fmt.Errorf("enter mount namespace: %w", err)
		}
		if err := unix.Fchdir(int(fds.Fd())); err != nil {
			return err
		}
		return f()
	})
}

// detachHere takes a mount away by its descriptor, inside inMountsOf. Its path
// may have changed: the app can rename the folders above.
func detachHere(tree *os.File) error {
	if err := unix.Unmount(strconv.Itoa(int(tree.Fd())), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach %s: %w", strings.TrimSuffix(tree.Name(), "/"), err)
	}
	return nil
}
