package linuxhost

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/sandbox"
)

// A tree is a detached mount: no namespace shows it until init moves it to its
// place, and then only inside.

// cloneTree makes a detached mount of what dir is open on, without
// what is mounted below it.
func cloneTree(dir *os.File) (*os.File, error) {
	fd, err := unix.OpenTree(int(dir.Fd()), "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("clone the mount of %s: %w", dir.Name(), err)
	}
	return os.NewFile(uintptr(fd), dir.Name()), nil
}

// openDir opens a directory of the host without following any link: paths of
// a Spec come with their links resolved.
func openDir(path string) (*os.File, error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("%w: %q is not absolute", sandbox.ErrInvalid, path)
	}
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	fd, err := unix.Openat2(unix.AT_FDCWD, path, &how)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

// treeOf is a detached mount of path with attributes, and with its ids mapped
// by the user namespace ids when that is not nil.
func treeOf(path string, attributes uint64, ids *os.File) (*os.File, error) {
	dir, err := openDir(path)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return treeAt(dir, attributes, ids)
}

// treeAt is the same of what is open.
func treeAt(at *os.File, attributes uint64, ids *os.File) (*os.File, error) {
	tree, err := cloneTree(at)
	if err != nil {
		return nil, err
	}
	attr := unix.MountAttr{Attr_set: attributes | unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV, Propagation: unix.MS_PRIVATE}
	if ids != nil {
		attr.Attr_set |= unix.MOUNT_ATTR_IDMAP
		attr.Userns_fd = uint64(ids.Fd())
	}
	if err := unix.MountSetattr(int(tree.Fd()), "", unix.AT_EMPTY_PATH, &attr); err != nil {
		return nil, errors.Join(fmt.Errorf("attributes of the mount of %s: %w", at.Name(), err), tree.Close())
	}
	return tree, nil
}

// layerTree is a read-only layer whose owner n is seen as the app's id n.
func layerTree(path string, userns *os.File) (*os.File, error) {
	return treeOf(path, unix.MOUNT_ATTR_RDONLY, userns)
}

// upperFiles are the tree of the writable layer, its upper and its work directory.
const upperFiles = 3

// upperTrees prepares the writable layer: one mount that holds upper and work,
// as overlayfs wants, and descriptors of both inside that mount. Init could not
// walk to them: the folders above belong to the host's root.
func upperTrees(image *sandbox.Image, owner int) ([]*os.File, error) {
	parent := commonParent(image.Upper, image.Work)
	tree, err := treeOf(parent, 0, nil)
	if err != nil {
		return nil, err
	}
	files := []*os.File{tree}
	for _, path := range []string{image.Upper, image.Work} {
		inside, err := filepath.Rel(parent, path)
		if err != nil {
			return nil, errors.Join(err, closeAll(files))
		}
		dir, err := openOwned(tree, inside, owner)
		if err != nil {
			return nil, errors.Join(err, closeAll(files))
		}
		files = append(files, dir)
	}
	return files, nil
}

// openOwned opens a directory below tree and gives it to owner.
func openOwned(tree *os.File, path string, owner int) (*os.File, error) {
	how := unix.OpenHow{Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_BENEATH}
	fd, err := unix.Openat2(int(tree.Fd()), path, &how)
	if err != nil {
		return nil, fmt.Errorf("%s in %s: %w", path, tree.Name(), err)
	}
	dir := os.NewFile(uintptr(fd), filepath.Join(tree.Name(), path))
	if err := unix.Fchownat(fd, "", owner, owner, unix.AT_EMPTY_PATH); err != nil {
		return nil, errors.Join(fmt.Errorf("owner of %s: %w", dir.Name(), err), dir.Close())
	}
	return dir, nil
}

func closeAll(files []*os.File) error {
	var errs error
	for _, f := range files {
		errs = errors.Join(errs, f.Close())
	}
	return errs
}

// commonParent is the nearest directory above both paths.
func commonParent(a, b string) string {
	parent := filepath.Dir(filepath.Clean(a))
	for !strings.HasPrefix(filepath.Clean(b)+"/", strings.TrimSuffix(parent, "/")+"/") {
		parent = filepath.Dir(parent)
	}
	return parent
}

// idsOf makes a user namespace only to describe how ids are mapped: outside
// owner uid:gid is seen as the app's user. Every other owner is nobody.
func idsOf(uid, gid, appUID, appGID uint32) (*os.File, error) {
	return idsFile(
		[]syscall.SysProcIDMap{{ContainerID: int(uid), HostID: int(appUID), Size: 1}},
		[]syscall.SysProcIDMap{{ContainerID: int(gid), HostID: int(appGID), Size: 1}},
	)
}

func idsFile(uids, gids []syscall.SysProcIDMap) (*os.File, error) {
	hold := exec.Command(selfExe, holderName)
	hold.Args[0] = selfName
	hold.Env = []string{"GOMAXPROCS=1"}
	hold.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER,
		UidMappings: uids,
		GidMappings: gids,
	}
	stdin, err := hold.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("map ids: %w", err)
	}
	if err := hold.Start(); err != nil {
		return nil, fmt.Errorf("map ids: %w", errors.Join(err, stdin.Close()))
	}
	ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/user", hold.Process.Pid))
	stdin.Close()
	//nolint:errcheck // it is of no further use, however it ends
	hold.Process.Kill()
	//nolint:errcheck // killed
	hold.Wait()
	if err != nil {
		return nil, fmt.Errorf("map ids: %w", err)
	}
	return ns, nil
}

// holderMain keeps its user namespace alive until its input ends.
func holderMain() error {
	var b [1]byte
	//nolint:errcheck // any end is the end
	os.Stdin.Read(b[:])
	return nil
}
