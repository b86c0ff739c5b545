package unpack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/consentry/consentry/internal/ownids"
)

// folding puts one layer over the tree below it, in place.
type folding struct {
	layer, base *os.Root
	asRoot      bool
}

// Fold puts the layer in dir over the tree in base, so that base alone is what
// overlayfs would show of the two: what the layer hides goes, what it has is
// moved. base must be the lowest of its stack; where res is Relative, Settle
// must have fitted the layer to base alone. Both must lie on one file system,
// and dir is used up. After an error neither is usable.
func Fold(ctx context.Context, dir, base string, res *Result) (err error) {
	f := &folding{asRoot: ownids.MayGive()}
	if f.layer, err = os.OpenRoot(dir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.layer.Close()) }()
	if f.base, err = os.OpenRoot(base); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.base.Close()) }()
	if res.RootOpaque {
		if err := f.empty(); err != nil {
			return err
		}
	}
	for todo := []string{"."}; len(todo) > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		path := todo[len(todo)-1]
		shared, err := f.directory(path)
		if err != nil {
			return fmt.Errorf("fold %s: %w", path, err)
		}
		todo = append(todo[:len(todo)-1], shared...)
	}
	return nil
}

// empty removes all of the tree below.
func (f *folding) empty() error {
	top, err := f.base.Open(".")
	if err != nil {
		return err
	}
	names, err := top.Readdirnames(-1)
	err = errors.Join(err, top.Close())
	for _, name := range names {
		err = errors.Join(err, f.base.RemoveAll(name))
	}
	return err
}

// directory folds what the layer has in path, which both have. The directories
// in it that both have are left to the caller: they change nothing of path's own.
func (f *folding) directory(path string) (shared []string, err error) {
	src, err := openDirectory(f.layer, path)
	if err != nil {
		return nil, err
	}
	defer src.Close()
	dst, err := openDirectory(f.base, path)
	if err != nil {
		return nil, err
	}
	defer dst.Close()
	info, err := src.Stat() // its time, before anything is moved out
	if err != nil {
		return nil, err
	}
	names, err := src.Readdirnames(-1)
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		child := join(path, name)
		both, err := f.entry(int(src.Fd()), int(dst.Fd()), child)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", child, err)
		}
		if both {
			shared = append(shared, child)
		}
	}
	return shared, f.describe(dst, src, info)
}

// entry puts path, which the layer has, in the place of what is below; both
// says that these are two directories of which one is seen through the other.
func (f *folding) entry(src, dst int, path string) (both bool, err error) {
	_, name := split(path)
	var upper, lower unix.Stat_t
	if err := unix.Fstatat(src, name, &upper, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return false, err
	}
	switch err := unix.Fstatat(dst, name, &lower, unix.AT_SYMLINK_NOFOLLOW); {
	case errors.Is(err, unix.ENOENT):
	case err != nil:
		return false, err
	default:
		both, err := f.seenThrough(path, &upper, &lower)
		if both || err != nil {
			return both, err
		}
		if err := f.base.RemoveAll(path); err != nil {
			return false, err
		}
	}
	if isWhiteoutStat(&upper) {
		return false, nil
	}
	return false, unix.Renameat(src, name, dst, name)
}

func (f *folding) seenThrough(path string, upper, lower *unix.Stat_t) (bool, error) {
	if upper.Mode&unix.S_IFMT != unix.S_IFDIR || lower.Mode&unix.S_IFMT != unix.S_IFDIR {
		return false, nil
	}
	hides, err := isOpaque(f.layer, path)
	return !hides, err
}

// describe gives dst what src says of the directory; info is from before it
// was changed.
func (f *folding) describe(dst, src *os.File, info os.FileInfo) error {
	st, is := info.Sys().(*syscall.Stat_t)
	if !is {
		return fmt.Errorf("stat %s: no owner", src.Name())
	}
	if err := dropXattrs(int(dst.Fd())); err != nil {
		return err
	}
	return likeFD(int(dst.Fd()), int(src.Fd()), st, f.asRoot)
}

// dropXattrs removes the attributes that copyXattrs would copy.
func dropXattrs(fd int) error {
	names, err := imageXattrs(fd)
	for _, name := range names {
		err = errors.Join(err, unix.Fremovexattr(fd, name))
	}
	return err
}

// imageXattrs lists the attributes of fd that its image gave it.
func imageXattrs(fd int) (names []string, err error) {
	list := make([]byte, maxXattrList)
	n, err := unix.Flistxattr(fd, list)
	if errors.Is(err, unix.ENOTSUP) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for name := range strings.SplitSeq(string(list[:n]), "\x00") {
		if strings.HasPrefix(name, userXattr) && !strings.HasPrefix(name, userOverlay) {
			names = append(names, name)
		}
	}
	return names, nil
}
