package unpack

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

const maxXattrList = 64 << 10 // bytes, as the kernel's XATTR_LIST_MAX

// links makes the hard links whose targets are in the layers below: the target
// is copied into this layer at its own path, and linked to.
func (s *settling) links(ctx context.Context, res *Result) (err error) {
	if len(res.links) == 0 {
		return nil
	}
	merged, err := OpenView(append(append([]string{}, s.lowers...), s.dir))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, merged.Close()) }()
	for _, l := range res.links {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := s.hardLink(ctx, merged, s.now(l.path), l.target); err != nil {
			return fmt.Errorf("hard link %s to %s: %w", l.path, l.target, err)
		}
	}
	return nil
}

func (s *settling) hardLink(ctx context.Context, merged *View, path, target string) error {
	n, err := merged.Lookup(target, false)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("no layer has the target: %w", ErrHostile)
	}
	if err != nil {
		return err
	}
	if n.Info.IsDir() {
		return hostile(path, "hard link to a directory")
	}
	if n.Path == path {
		return hostile(path, "hard link to itself")
	}
	if n.layer != 0 {
		if err := s.copyUp(ctx, merged, n); err != nil {
			return err
		}
		clear(merged.dirs) // this layer has directories it had not
	}
	parent, _ := split(path)
	if err := s.keepTime(parent); err != nil {
		return err
	}
	if err := s.root_.Remove(path); err != nil {
		return err
	}
	return s.root_.Link(n.Path, path)
}

// copyUp copies a file of a layer below to the same path of this one.
func (s *settling) copyUp(ctx context.Context, from *View, n Node) error {
	if err := s.budget.entry(n.Path, n.Info.Size()); err != nil {
		return err
	}
	dir, base := split(n.Path)
	s.implied = map[string]bool{}
	parent, err := s.openDirs(dir)
	if err != nil {
		return err
	}
	for made := range s.implied {
		s.made[made] = true
	}
	switch mode := n.Info.Mode(); {
	case mode.IsRegular():
		return s.copyFile(ctx, from, n, parent, base)
	case mode&fs.ModeSymlink != 0:
		return s.copyLink(from, n, parent, base)
	case mode&fs.ModeNamedPipe != 0:
		if err := unix.Mknodat(parent.fd, base, unix.S_IFIFO|0o600, 0); err != nil {
			return &os.PathError{Op: "mkfifo", Path: n.Path, Err: err}
		}
		if err := s.ownAt(parent, base, n); err != nil {
			return err
		}
		return unix.Fchmodat(parent.fd, base, statOf(n).Mode&0o7777, 0)
	}
	return fmt.Errorf("copy %s: no file, link or pipe", n.Path)
}

func (s *settling) copyFile(ctx context.Context, from *View, n Node, parent *openDir, base string) (err error) {
	src, err := from.Open(n)
	if err != nil {
		return err
	}
	defer src.Close()
	fd, err := unix.Openat(parent.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return &os.PathError{Op: "create", Path: n.Path, Err: err}
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := s.copy(ctx, fd, src, n.Info.Size()); err != nil {
		return fmt.Errorf("copy %s: %w", n.Path, err)
	}
	return likeFD(fd, int(src.Fd()), statOf(n), s.asRoot)
}

func (s *settling) copyLink(from *View, n Node, parent *openDir, base string) error {
	target, err := from.roots[n.layer].Readlink(n.Path)
	if err != nil {
		return err
	}
	if err := unix.Symlinkat(target, parent.fd, base); err != nil {
		return &os.PathError{Op: "symlink", Path: n.Path, Err: err}
	}
	return s.ownAt(parent, base, n)
}

func statOf(n Node) *syscall.Stat_t {
	st, _ := n.Info.Sys().(*syscall.Stat_t)
	return st
}

// ownAt gives owner and time of n to base, which cannot be opened.
func (s *settling) ownAt(parent *openDir, base string, n Node) error {
	st := statOf(n)
	if s.asRoot {
		if err := unix.Fchownat(parent.fd, base, int(st.Uid), int(st.Gid), unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("chown %s: %w", n.Path, err)
		}
	}
	ts := unix.Timespec{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}
	return unix.UtimesNanoAt(parent.fd, base, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}

// inherit gives the open directory fd what the directory n below has.
func (s *settling) inherit(fd int, n Node) error {
	src, err := s.lower.roots[n.layer].Open(n.Path)
	if err != nil {
		return err
	}
	defer src.Close()
	return likeFD(fd, int(src.Fd()), statOf(n), s.asRoot)
}

// likeFD copies owner, user.* attributes, mode and time.
func likeFD(dst, src int, st *syscall.Stat_t, asRoot bool) error {
	if asRoot {
		if err := unix.Fchown(dst, int(st.Uid), int(st.Gid)); err != nil {
			return err
		}
	}
	if err := copyXattrs(dst, src); err != nil {
		return err
	}
	if err := unix.Fchmod(dst, st.Mode&0o7777); err != nil {
		return err
	}
	ts := unix.Timespec{Sec: st.Mtim.Sec, Nsec: st.Mtim.Nsec}
	return unix.UtimesNanoAt(dst, "", []unix.Timespec{ts, ts}, unix.AT_EMPTY_PATH)
}

func copyXattrs(dst, src int) error {
	names, err := imageXattrs(src)
	if err != nil {
		return err
	}
	value := make([]byte, maxXattrList)
	for _, name := range names {
		size, err := unix.Fgetxattr(src, name, value)
		if err != nil {
			return err
		}
		if err := unix.Fsetxattr(dst, name, value[:size], 0); err != nil {
			return err
		}
	}
	return nil
}
