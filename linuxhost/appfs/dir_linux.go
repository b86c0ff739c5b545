package appfs

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"syscall"

	"golang.org/x/sys/unix"
)

// dir is a directory of the tree, held open: what the app puts in its place
// meanwhile is not written to.
type dir struct {
	t     Tree
	f     *os.File
	path  string // without links, "." for the root
	mount uint64
	alone bool // nothing of the layers below is seen here
}

func (d *dir) fd() int { return int(d.f.Fd()) }

func (d *dir) close() { d.f.Close() }

func (d *dir) at(name string) string { return path.Join(d.path, name) }

// walk goes down from the root, one look-up a step. Directories that only the
// layers below have are made.
func (t Tree) walk(steps []string) (*dir, error) {
	d, err := t.root()
	for _, name := range steps {
		if err != nil {
			return nil, err
		}
		var next *dir
		next, err = d.step(name)
		d.close()
		d = next
	}
	return d, err
}

func (t Tree) root() (*dir, error) {
	return t.open(int(t.Root.Fd()), ".", &dir{t: t, path: ".", alone: t.Below == nil})
}

// open opens name in a directory, as d; the mount must be d's, if d has one yet.
// It is not openat2 that sees to this, as an app's filter may refuse that. A
// first open reads nothing: a placeholder would ask the user.
func (t Tree) open(in int, name string, d *dir) (*dir, error) {
	fd, err := unix.Openat(in, name, unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Statx_t
	if err := unix.Statx(fd, "", unix.AT_EMPTY_PATH, unix.STATX_MNT_ID, &st); err != nil {
		return nil, fmt.Errorf("/%s: %w", d.path, err)
	}
	if d.mount != 0 && d.mount != st.Mnt_id {
		return nil, misplaced("/"+d.path, "a share, a volume or a file system of the kernel is mounted there")
	}
	d.mount = st.Mnt_id
	if fd, err = unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return nil, fmt.Errorf("/%s: %w", d.path, err)
	}
	d.f = os.NewFile(uintptr(fd), d.path)
	return d, nil
}

// step opens a directory of d.
func (d *dir) step(name string) (*dir, error) {
	info, err := d.stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, misplaced("/"+d.at(name), "there is no such directory")
	case err != nil:
		return nil, err
	case !info.isDir():
		return nil, misplaced("/"+d.at(name), "it is no directory of the app")
	case !info.ours:
		return d.mkdir(name, info.mode, info.uid, info.gid)
	}
	return d.enter(name)
}

func (d *dir) enter(name string) (*dir, error) {
	next, err := d.t.open(d.fd(), name, &dir{t: d.t, path: d.at(name), mount: d.mount})
	if errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) { // it was one a moment ago
		return nil, misplaced("/"+d.at(name), "it is no directory of the app")
	}
	if err != nil {
		return nil, err
	}
	next.alone = d.alone || next.opaque()
	return next, nil
}

// what is a file as the app sees it.
type what struct {
	mode     uint32
	uid, gid uint32
	ours     bool // it lies in the tree itself, not below
}

func (w what) isDir() bool { return w.mode&unix.S_IFMT == unix.S_IFDIR }

// stat finds name in d without following it; the error wraps fs.ErrNotExist
// when the app sees none.
func (d *dir) stat(name string) (what, error) {
	var st unix.Stat_t
	err := unix.Fstatat(d.fd(), name, &st, unix.AT_SYMLINK_NOFOLLOW)
	switch {
	case err == nil && !d.alone && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0: // overlayfs's mark for "removed"
		return what{}, fs.ErrNotExist
	case err == nil:
		return what{st.Mode, st.Uid, st.Gid, true}, nil
	case !errors.Is(err, fs.ErrNotExist) || d.alone:
		return what{}, err
	}
	info, err := d.t.Below.Lstat(d.at(name))
	if err != nil {
		return what{}, err
	}
	below, is := info.Sys().(*syscall.Stat_t)
	if !is {
		return what{}, fmt.Errorf("/%s: it has no owner", d.at(name))
	}
	return what{below.Mode, below.Uid, below.Gid, false}, nil
}

const opaqueAttr = "user.overlay.opaque"

// opaque tells whether d hides what the layers below have.
func (d *dir) opaque() bool {
	if d.t.Below == nil {
		return false
	}
	var value [1]byte
	n, err := unix.Fgetxattr(d.fd(), opaqueAttr, value[:])
	return err == nil && n == 1 && value[0] == 'y'
}

// mkdir makes a directory in d. One in the place of what was removed hides what
// the layers below have there.
func (d *dir) mkdir(name string, mode, uid, gid uint32) (*dir, error) {
	covered, err := d.clear(name)
	if err != nil {
		return nil, err
	}
	if err := unix.Mkdirat(d.fd(), name, 0o700); err != nil {
		return nil, d.fault("make", name, err)
	}
	next, err := d.enter(name)
	if err != nil {
		return nil, err
	}
	if err := next.dress(covered && d.t.Below != nil, mode, uid, gid); err != nil {
		next.close()
		return nil, err
	}
	return next, nil
}

// dress gives a directory that was just made what it is to have.
func (d *dir) dress(hides bool, mode, uid, gid uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(d.fd(), &st); err != nil {
		return err
	}
	if st.Mode&^unix.S_ISGID != unix.S_IFDIR|0o700 || int(st.Uid) != os.Geteuid() {
		return misplaced("/"+d.path, "the app has changed it meanwhile")
	}
	if hides {
		if err := unix.Fsetxattr(d.fd(), opaqueAttr, []byte("y"), 0); err != nil {
			return fmt.Errorf("hide what was at /%s: %w", d.path, err)
		}
		d.alone = true
	}
	return errors.Join(d.f.Chown(d.t.id(uid), d.t.id(gid)), unix.Fchmod(d.fd(), mode&(0o777|unix.S_ISVTX)))
}

// id is an id of the app as the disk has it.
func (t Tree) id(inside uint32) int { return int(t.IDBase) + int(inside) }

// clear removes what the tree itself has at name, which is no directory.
func (d *dir) clear(name string) (was bool, err error) {
	err = unix.Unlinkat(d.fd(), name, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, d.fault("replace", name, err)
}

func (d *dir) fault(verb, name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s /%s: %w", verb, d.at(name), err)
}

func (d *dir) directory(name string, hdr *tar.Header) error {
	info, err := d.stat(name)
	var made *dir
	switch {
	case errors.Is(err, fs.ErrNotExist):
		made, err = d.mkdir(name, uint32(hdr.Mode&0o1777), d.t.UID, d.t.GID)
	case err != nil:
	case !info.isDir():
		err = misplaced("/"+d.at(name), "the app has something else there than a directory")
	default:
		made, err = d.step(name)
	}
	if err == nil {
		made.close()
	}
	return err
}

// vacant makes room at name for what is no directory.
func (d *dir) vacant(name string) error {
	info, err := d.stat(name)
	switch {
	case err == nil && info.isDir():
		return misplaced("/"+d.at(name), "the app has a directory there")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	_, err = d.clear(name)
	return err
}

func (d *dir) file(name string, hdr *tar.Header, body io.Reader) error {
	if err := d.vacant(name); err != nil {
		return err
	}
	fd, err := unix.Openat(d.fd(), name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return d.fault("write", name, err)
	}
	f := os.NewFile(uintptr(fd), d.at(name))
	_, err = io.Copy(f, body)
	at, timeErr := unix.TimeToTimespec(hdr.ModTime)
	err = errors.Join(err, timeErr, f.Chown(d.t.id(d.t.UID), d.t.id(d.t.GID)), f.Chmod(hdr.FileInfo().Mode().Perm()),
		unix.UtimesNanoAt(fd, "", []unix.Timespec{at, at}, unix.AT_EMPTY_PATH), f.Close())
	if err != nil {
		return errors.Join(d.fault("write", name, err), unix.Unlinkat(d.fd(), name, 0))
	}
	return nil
}

func (d *dir) symlink(name string, hdr *tar.Header) error {
	if err := d.vacant(name); err != nil {
		return err
	}
	if err := unix.Symlinkat(hdr.Linkname, d.fd(), name); err != nil {
		return d.fault("link", name, err)
	}
	return unix.Fchownat(d.fd(), name, d.t.id(d.t.UID), d.t.id(d.t.GID), unix.AT_SYMLINK_NOFOLLOW)
}
