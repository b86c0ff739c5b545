package unpack

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// impliedDir is what a directory gets that nothing describes: the same on
// every machine, whenever it is unpacked.
func impliedDir(name string) *tar.Header {
	return &tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: 0o755, ModTime: time.Unix(0, 0)}
}

// finish writes what directories get only once they are full, deepest first,
// and tells what Settle must look at.
func (t *tree) finish() (*Result, error) {
	t.flush()
	res := &t.res
	res.Entries, res.Bytes = t.budget.entries, t.budget.bytes
	if t.meta["."] == nil {
		t.meta["."] = impliedDir(".")
	}
	for path := range t.implied {
		t.meta[path] = impliedDir(path)
	}
	if err := t.dirMeta(); err != nil {
		return nil, err
	}
	res.implied = t.present(t.implied, unix.S_IFDIR)
	res.whiteouts = t.present(t.whiteouts, unix.S_IFCHR)
	res.links = t.pending()
	res.Relative = res.RootOpaque || len(res.implied)+len(res.whiteouts)+len(res.links) > 0
	return res, nil
}

func (t *tree) dirMeta() error {
	paths := slices.SortedFunc(maps.Keys(t.meta), func(a, b string) int {
		return cmp.Or(cmp.Compare(depth(b), depth(a)), cmp.Compare(a, b))
	})
	for _, path := range paths {
		fd, err := t.openReal(path)
		if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
			continue // removed by a later entry
		}
		if err != nil {
			return &os.PathError{Op: "open", Path: path, Err: err}
		}
		hdr := t.meta[path]
		err = errors.Join(t.fdMeta(fd, hdr, xattrs(hdr, &t.res)), unix.Close(fd))
		if err != nil {
			return fmt.Errorf("directory %s: %w", path, err)
		}
	}
	return nil
}

func depth(path string) int {
	if path == "." {
		return -1
	}
	return strings.Count(path, "/")
}

// present returns the noted paths that are still there with this type, parents
// before children.
func (t *tree) present(noted map[string]bool, format uint32) []string {
	var found []string
	for path := range noted {
		if t.isThere(path, format) {
			found = append(found, path)
		}
	}
	slices.Sort(found)
	return found
}

func (t *tree) isThere(path string, format uint32) bool {
	fd, err := openat2(t.rootFD, path, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == format
}

func (t *tree) pending() []link {
	var found []link
	for _, l := range t.links {
		if t.isThere(l.path, unix.S_IFREG) {
			found = append(found, l)
		}
	}
	slices.SortFunc(found, func(a, b link) int { return cmp.Compare(a.order, b.order) })
	return found
}
