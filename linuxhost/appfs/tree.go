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

	"github.com/consentry/consentry/sandbox"
)

// maxEntries bounds one copy.
const maxEntries = 2_000_000

// Tree is where files are put.
type Tree struct {
	Root  *os.File // its directory
	Below Below    // the layers below; nil for a volume, and for what is mounted
	// IDBase is added to ids of the app: what the kernel does with those of a
	// writable layer.
	IDBase   uint32
	UID, GID uint32 // owner of what is put there
}

// Below is the file system that a writable layer lies on.
type Below interface {
	// Lstat finds a path without links and without a slash at its beginning. The
	// error wraps fs.ErrNotExist when there is none.
	Lstat(path string) (fs.FileInfo, error)
}

func misplaced(name, format string, args ...any) error {
	return fmt.Errorf("%.200q: %s: %w", name, fmt.Sprintf(format, args...), sandbox.ErrPlace)
}

// parts are the steps to a clean path; "." is none.
func parts(p string) []string {
	if p = strings.Trim(path.Clean(p), "/"); p == "." || p == "" {
		return nil
	}
	return strings.Split(p, "/")
}

// Put unpacks the tar stream r in the directory at, which must be there:
// absolute, without links in it. The error wraps sandbox.ErrNoDirectory when it
// is not, and sandbox.ErrPlace when an entry cannot be written where it says.
func (t Tree) Put(ctx context.Context, at string, r io.Reader) error {
	top, err := t.walk(parts(at))
	if err != nil {
		return directoryFault(err)
	}
	top.close()
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

// directoryFault says that what is copied to is no place for files; other faults
// stay what they are.
func directoryFault(err error) error {
	if !errors.Is(err, sandbox.ErrPlace) {
		return err
	}
	return fmt.Errorf("%w: %s", sandbox.ErrNoDirectory, err) //nolint:errorlint // it is one of the two, not both
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
	steps := parts(p)
	if len(steps) == 0 || p == path.Clean(at) {
		return onlyDirectory(hdr)
	}
	last := len(steps) - 1
	parent, err := t.walk(steps[:last])
	if err != nil {
		return err
	}
	defer parent.close()
	switch hdr.Typeflag {
	case tar.TypeDir:
		return parent.directory(steps[last], hdr)
	case tar.TypeReg:
		return parent.file(steps[last], hdr, body)
	case tar.TypeSymlink:
		return parent.symlink(steps[last], hdr)
	}
	return misplaced(hdr.Name, "only files, directories and symbolic links are copied")
}

// onlyDirectory is for an entry that names the directory that is copied to.
func onlyDirectory(hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir {
		return misplaced(hdr.Name, "the app has a directory there")
	}
	return nil
}
