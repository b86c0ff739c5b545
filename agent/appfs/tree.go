//go:build linux

package appfs

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/oci/unpack"
)

// maxEntries bounds one copy.
const maxEntries = 2_000_000

// Errors that callers branch on.
var (
	// ErrPlace: a file cannot be put where it is to go.
	ErrPlace = errors.New("cannot be written there")
	// ErrDirectory: what files are to be put in is no directory of the app.
	ErrDirectory = errors.New("no directory to copy to")
)

func misplaced(name, format string, args ...any) error {
	return fmt.Errorf("%.200q: %s: %w", name, fmt.Sprintf(format, args...), ErrPlace)
}

// Tree is where files are put.
type Tree struct {
	Root  *os.Root     // the writable layer, or a volume
	Below *unpack.View // the layers below; nil for a volume
	// IDBase is added to ids of the app: what the kernel does with those of a
	// writable layer.
	IDBase   uint32
	UID, GID uint32 // owner of what is put there
}

// Put unpacks the tar stream r in the directory dir of the app, which must be
// there: clean, absolute, without links in it.
func (t Tree) Put(ctx context.Context, dir string, r io.Reader) error {
	at := strings.TrimPrefix(path.Clean("/"+dir), "/")
	if at == "" {
		at = "."
	}
	if err := t.real(at); err != nil {
		return fmt.Errorf("%w: %w", ErrDirectory, err)
	}
	tr := tar.NewReader(r)
	for n := 0; ; n++ {
		hdr, err := tr.Next()
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return fmt.Errorf("read the archive: %w", err)
		case n == maxEntries:
			return fmt.Errorf("more than %d files", maxEntries)
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		if err := t.entry(at, hdr, tr); err != nil {
			return err
		}
	}
}

// name is the path of an entry; one that climbs is refused.
func name(at string, hdr *tar.Header) (string, error) {
	clean := path.Clean(strings.TrimSuffix(hdr.Name, "/"))
	if !fs.ValidPath(clean) {
		return "", misplaced(hdr.Name, "not a path below the directory")
	}
	return path.Join(at, clean), nil
}

func (t Tree) entry(at string, hdr *tar.Header, body io.Reader) error {
	p, err := name(at, hdr)
	if err != nil {
		return err
	}
	if p == at && hdr.Typeflag == tar.TypeDir {
		return nil
	}
	if err := t.real(path.Dir(p)); err != nil {
		return err
	}
	switch hdr.Typeflag {
	case tar.TypeDir:
		return t.directory(p, hdr)
	case tar.TypeReg:
		return t.file(p, hdr, body)
	case tar.TypeSymlink:
		return t.symlink(p, hdr)
	}
	return misplaced(hdr.Name, "only files, directories and symbolic links are copied")
}

// real makes the directory p a real one of the tree, as the app sees it there.
func (t Tree) real(p string) error {
	if p == "." {
		return nil
	}
	if err := t.real(path.Dir(p)); err != nil {
		return err
	}
	info, ours, err := t.stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return misplaced("/"+p, "there is no such directory")
	case err != nil:
		return err
	case !info.IsDir():
		return misplaced("/"+p, "it is no directory of the app")
	case ours:
		return nil
	}
	uid, gid := owner(info)
	return t.mkdir(p, info.Mode(), uid, gid)
}

func owner(info fs.FileInfo) (uid, gid uint32) {
	st, is := info.Sys().(*syscall.Stat_t)
	if !is {
		return 0, 0
	}
	return st.Uid, st.Gid
}

// stat finds p as the app sees it; ours says that it lies in the tree itself.
// Every directory above is one of the tree's own.
func (t Tree) stat(p string) (info fs.FileInfo, ours bool, err error) {
	info, err = t.Root.Lstat(p)
	if err == nil {
		if isWhiteout(info) {
			return nil, false, fs.ErrNotExist
		}
		return info, true, nil
	}
	if !errors.Is(err, fs.ErrNotExist) || t.Below == nil {
		return nil, false, err
	}
	for dir := path.Dir(p); dir != "."; dir = path.Dir(dir) {
		if hides, err := t.opaque(dir); err != nil || hides {
			return nil, false, errors.Join(err, fs.ErrNotExist)
		}
	}
	n, err := t.Below.Lookup(p, false)
	if err != nil {
		return nil, false, err
	}
	return n.Info, false, nil
}

func isWhiteout(info fs.FileInfo) bool {
	st, is := info.Sys().(*syscall.Stat_t)
	return is && st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}

// open opens a directory: an app that has the volume too may put something else
// in its place, which must not make us wait.
func (t Tree) open(dir string) (*os.File, error) {
	return t.Root.OpenFile(dir, os.O_RDONLY|unix.O_DIRECTORY|unix.O_NONBLOCK, 0)
}

const opaqueAttr = "user.overlay.opaque"

func (t Tree) opaque(dir string) (bool, error) {
	f, err := t.open(dir)
	if err != nil {
		return false, err
	}
	defer f.Close()
	var value [1]byte
	n, err := unix.Fgetxattr(int(f.Fd()), opaqueAttr, value[:])
	return err == nil && n == 1 && value[0] == 'y', nil
}

// mkdir makes a directory of the tree. One in the place of what was removed
// hides what the layers below have there.
func (t Tree) mkdir(p string, mode fs.FileMode, uid, gid uint32) error {
	covered, err := t.clear(p)
	if err != nil {
		return err
	}
	if err := t.Root.Mkdir(p, 0o700); err != nil {
		return err
	}
	f, err := t.open(p)
	if err != nil {
		return err
	}
	defer f.Close()
	if covered && t.Below != nil {
		if err := unix.Fsetxattr(int(f.Fd()), opaqueAttr, []byte("y"), 0); err != nil {
			return fmt.Errorf("hide what was at /%s: %w", p, err)
		}
	}
	return errors.Join(f.Chown(t.id(uid), t.id(gid)), f.Chmod(mode.Perm()|mode&fs.ModeSticky))
}

// id is an id of the app as the disk has it.
func (t Tree) id(inside uint32) int { return int(t.IDBase) + int(inside) }

// clear removes what the tree itself has at p, which is no directory.
func (t Tree) clear(p string) (was bool, err error) {
	err = t.Root.Remove(p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

func (t Tree) directory(p string, hdr *tar.Header) error {
	info, _, err := t.stat(p)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return t.mkdir(p, hdr.FileInfo().Mode(), t.UID, t.GID)
	case err != nil:
		return err
	case !info.IsDir():
		return misplaced("/"+p, "the app has something else there than a directory")
	}
	return t.real(p)
}

// vacant makes room at p for what is no directory.
func (t Tree) vacant(p string) error {
	info, _, err := t.stat(p)
	switch {
	case err == nil && info.IsDir():
		return misplaced("/"+p, "the app has a directory there")
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	_, err = t.clear(p)
	return err
}

func (t Tree) file(p string, hdr *tar.Header, body io.Reader) error {
	if err := t.vacant(p); err != nil {
		return err
	}
	f, err := t.Root.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	err = errors.Join(err, f.Chown(t.id(t.UID), t.id(t.GID)), f.Chmod(hdr.FileInfo().Mode().Perm()), f.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("write /%s: %w", p, err), t.Root.Remove(p))
	}
	return t.Root.Chtimes(p, hdr.ModTime, hdr.ModTime)
}

func (t Tree) symlink(p string, hdr *tar.Header) error {
	if err := t.vacant(p); err != nil {
		return err
	}
	return errors.Join(t.Root.Symlink(hdr.Linkname, p), t.Root.Lchown(p, t.id(t.UID), t.id(t.GID)))
}
