package unpack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// settling is a Relative layer while it is fitted to the layers below it.
type settling struct {
	*tree
	lower  *View
	lowers []string
	dir    string
	// times of directories as they were before they were changed here
	times map[string]unix.Timespec
	moved []move
	made  map[string]bool // directories whose attributes come from below
}

type move struct{ from, to string }

// Settle fits the layer in dir, which Layer just filled, to the layers below
// it (lowest first, settled themselves): directories that the stream only
// implied take owner, mode, time and attributes from the layer below, or move
// to where a symbolic link below points; hard links to files below get a copy
// of that file in this layer; whiteouts of nothing go away. Files are only
// read below, and looked up inside the stack.
func Settle(ctx context.Context, dir string, lowers []string, res *Result, limits Limits) (err error) {
	t, err := openTree(dir, limits)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	t.budget.bytes = res.Bytes
	lower, err := OpenView(lowers)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lower.Close()) }()
	s := &settling{tree: t, lower: lower, lowers: lowers, dir: dir, times: map[string]unix.Timespec{}, made: map[string]bool{}}
	if res.RootOpaque {
		s.lowers, s.lower = nil, &View{}
	}
	return s.run(ctx, res)
}

func (s *settling) run(ctx context.Context, res *Result) error {
	for _, path := range res.implied {
		if err := s.adopt(s.now(path)); err != nil {
			return fmt.Errorf("directory %s: %w", path, err)
		}
	}
	for _, path := range res.whiteouts {
		if err := s.prune(s.now(path)); err != nil {
			return fmt.Errorf("whiteout %s: %w", path, err)
		}
	}
	if err := s.links(ctx, res); err != nil {
		return err
	}
	return s.restore()
}

// now is where path went.
func (s *settling) now(path string) string {
	for _, m := range s.moved {
		if rest, is := strings.CutPrefix(path, m.from+"/"); is {
			path = join(m.to, rest)
		}
	}
	return path
}

// below finds the clean path in the layers below, unless this layer hides it.
func (s *settling) below(path string) (Node, error) {
	for at := path; ; {
		if hidden, err := s.opaqueHere(at); err != nil || hidden {
			return Node{}, errors.Join(err, notFound(path, "hidden"))
		}
		if at == "." {
			break
		}
		at, _ = split(at)
	}
	n, err := s.lower.Lookup(path, false)
	if err != nil && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENOTDIR)) {
		return Node{}, notFound(path, "not below")
	}
	return n, err
}

func (s *settling) opaqueHere(path string) (bool, error) {
	fd, err := s.openReal(path)
	if err != nil {
		return false, nil //nolint:nilerr // no directory of this layer hides nothing
	}
	defer unix.Close(fd)
	return fdOpaque(fd)
}

// adopt gives an implied directory what it has below.
func (s *settling) adopt(path string) error {
	n, err := s.below(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	switch {
	case n.Info.IsDir():
		s.made[path] = true
		return nil
	case n.Info.Mode()&fs.ModeSymlink != 0:
		return s.redirect(path)
	}
	return nil
}

// redirect moves the content of the implied directory path to where the link
// that stands there below points. Tools that apply layers one upon the other
// wrote it there too: usr-merged systems have /bin -> usr/bin.
func (s *settling) redirect(path string) error {
	n, err := s.lower.Lookup(path, true)
	if err != nil || !n.Info.IsDir() || n.Path == "." || n.Path == path || strings.HasPrefix(n.Path, path+"/") {
		return nil //nolint:nilerr // a link to nowhere: the directory replaces it
	}
	s.flush()
	before := s.implied
	s.implied = map[string]bool{}
	if _, err := s.openDirs(n.Path); err != nil {
		return err
	}
	if err := s.merge(path, n.Path, 0); err != nil {
		return err
	}
	for made := range s.implied {
		s.made[made] = true
	}
	s.implied = before
	s.moved = append(s.moved, move{path, n.Path})
	s.flush()
	return nil
}

// openDirs opens a real path, making what is missing and keeping times.
func (s *settling) openDirs(path string) (*openDir, error) {
	for at := path; ; at, _ = split(at) {
		if err := s.keepTime(at); err == nil {
			break
		} else if !errors.Is(err, fs.ErrNotExist) || at == "." {
			return nil, err
		}
	}
	return s.open(path, true)
}

// merge moves all of from into to, both directories of this layer.
func (s *settling) merge(from, to string, level int) error {
	if level > maxDepth {
		return hostile(from, "too deep to move")
	}
	if err := errors.Join(s.keepTime(from), s.keepTime(to)); err != nil {
		return err
	}
	f, err := s.root_.Open(from)
	if err != nil {
		return err
	}
	names, err := f.Readdirnames(-1)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	slices.Sort(names)
	for _, name := range names {
		if err := s.mergeOne(join(from, name), join(to, name), level); err != nil {
			return err
		}
	}
	parent, _ := split(from)
	if err := s.keepTime(parent); err != nil {
		return err
	}
	delete(s.times, from)
	return s.root_.Remove(from)
}

func (s *settling) mergeOne(from, to string, level int) error {
	src, err := s.root_.Lstat(from)
	if err != nil {
		return err
	}
	dst, err := s.root_.Lstat(to)
	switch {
	case err == nil && src.IsDir() && dst.IsDir():
		return s.merge(from, to, level+1)
	case err == nil:
		if err := s.root_.RemoveAll(to); err != nil {
			return err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return s.root_.Rename(from, to)
}

// prune removes a whiteout that hides nothing: overlayfs would list its name.
func (s *settling) prune(path string) error {
	_, err := s.below(path)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	info, err := s.root_.Lstat(path)
	if err != nil || !isWhiteout(info) {
		return nil //nolint:nilerr // moved over by something else
	}
	parent, _ := split(path)
	if err := s.keepTime(parent); err != nil {
		return err
	}
	return s.root_.Remove(path)
}

// keepTime notes the time of a directory before it is changed.
func (s *settling) keepTime(path string) error {
	if _, known := s.times[path]; known {
		return nil
	}
	info, err := s.root_.Lstat(path)
	if err != nil {
		return err
	}
	st, is := info.Sys().(*syscall.Stat_t)
	if !is || !info.IsDir() {
		return &os.PathError{Op: "stat", Path: path, Err: unix.ENOTDIR}
	}
	s.times[path] = unix.Timespec{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}
	return nil
}

// restore writes attributes and times of directories, deepest first.
func (s *settling) restore() error {
	s.flush()
	for path := range s.made {
		s.times[path] = unix.Timespec{}
	}
	paths := make([]string, 0, len(s.times))
	for path := range s.times {
		paths = append(paths, path)
	}
	slices.SortFunc(paths, func(a, b string) int { return depth(b) - depth(a) })
	for _, path := range paths {
		if err := s.restoreOne(path); err != nil {
			return fmt.Errorf("directory %s: %w", path, err)
		}
	}
	return nil
}

func (s *settling) restoreOne(path string) error {
	fd, err := s.openReal(path)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) {
		return nil // moved away
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if s.made[path] {
		n, err := s.below(path)
		if err == nil && n.Info.IsDir() {
			return s.inherit(fd, n)
		}
	}
	ts := s.times[path]
	return unix.UtimesNanoAt(fd, "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH)
}
