package linuxhost

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// rootFS is the app's file system before it is the root. Every path is looked
// up as the app will see it: an absolute link starts again at this root, and no
// ".." or link leads out of it.
type rootFS struct{ dir *os.File }

func openRoot(path string) (*rootFS, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC|unix.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	return &rootFS{os.NewFile(uintptr(fd), path)}, nil
}

func (r *rootFS) chdir() error { return unix.Fchdir(int(r.dir.Fd())) }

func (r *rootFS) close() error { return r.dir.Close() }

func (r *rootFS) open(name string, flags, resolve uint64) (*os.File, error) {
	how := unix.OpenHow{Flags: flags | unix.O_CLOEXEC, Resolve: resolve | unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS}
	fd, err := unix.Openat2(int(r.dir.Fd()), name, &how)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (r *rootFS) openDir(name string) (*os.File, error) {
	return r.open(name, unix.O_PATH|unix.O_DIRECTORY, 0)
}

// openBelow opens what lies below a directory, without following any link
// there.
func (r *rootFS) openBelow(dir, name string) (*os.File, error) {
	above, err := r.openDir(dir)
	if err != nil {
		return nil, err
	}
	defer above.Close()
	below := rootFS{above}
	return below.open(name, unix.O_PATH|unix.O_NOFOLLOW, unix.RESOLVE_NO_SYMLINKS)
}

// openOwn opens a directory of ours: a link in its place is somebody's attempt
// to have our mounts made elsewhere (CVE-2025-31133).
func (r *rootFS) openOwn(name string) (*os.File, error) {
	dir, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY, unix.RESOLVE_NO_SYMLINKS)
	if errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENOTDIR) {
		return nil, fmt.Errorf("the image has something else than a directory there: %w", err)
	}
	return dir, err
}

// mkdirAll makes what is missing of a directory's path.
func (r *rootFS) mkdirAll(name string) error {
	done := "/"
	for part := range strings.SplitSeq(path.Clean("/"+name), "/") {
		if part == "" {
			continue
		}
		parent, err := r.openDir(done)
		if err != nil {
			return err
		}
		err = unix.Mkdirat(int(parent.Fd()), part, 0o755)
		parent.Close()
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("make %s: %w", path.Join(done, part), err)
		}
		done = path.Join(done, part)
	}
	dir, err := r.openDir(done)
	if err != nil {
		return err
	}
	return dir.Close()
}

// replace writes a file anew; one of that name, a link too, is removed first.
func (r *rootFS) replace(name, text string) error {
	parent, err := r.openDir(path.Dir(path.Clean("/" + name)))
	if err != nil {
		return err
	}
	defer parent.Close()
	base := path.Base(name)
	if err := unix.Unlinkat(int(parent.Fd()), base, 0); err != nil && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("replace: %w", err)
	}
	fd, err := unix.Openat(int(parent.Fd()), base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o644)
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}
