//go:build unix

package ninep

import (
	"io/fs"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// dontWait keeps an open from waiting for the other end of a FIFO.
const dontWait = unix.O_NONBLOCK

// identity is a user of this system.
type identity struct {
	known    bool
	uid, gid uint32
}

// identifier tells a file from all others of this system.
type identifier struct{ device, file uint64 }

func checkSystemName(string) error { return nil }

func identify(info fs.FileInfo) identifier {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identifier{}
	}
	return identifier{uint64(st.Dev), st.Ino} //nolint:gosec,unconvert // signed on some systems
}

func ownerOf(info fs.FileInfo) identity {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return identity{}
	}
	return identity{true, st.Uid, st.Gid}
}

// detail adds what only this system tells, and says whether the file belongs to
// the folder's owner.
func detail(info fs.FileInfo, a *attributes, owner identity) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false
	}
	a.links, a.blocks = uint64(st.Nlink), uint64(st.Blocks) //nolint:gosec,unconvert // of other widths on some systems
	a.accessed, a.changed = timesOf(st)
	return st.Uid == owner.uid
}

// settleMode gives a new file its mode.
func settleMode(f *os.File, perm fs.FileMode) error { return f.Chmod(perm) }

// setTimes sets the times of an open file; a zero one is left as it is.
func setTimes(_ *file, opened *os.File, accessed, modified time.Time) error {
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	if modified.IsZero() {
		modified = info.ModTime()
	}
	if accessed.IsZero() {
		st, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return eIO
		}
		accessed, _ = timesOf(st)
	}
	times := []unix.Timeval{unix.NsecToTimeval(accessed.UnixNano()), unix.NsecToTimeval(modified.UnixNano())}
	return unix.Futimes(int(opened.Fd()), times)
}

// between calls do with descriptors of two folders.
func between(from, to *folder, do func(from, to int) error) error {
	f, err := from.root.Open(".")
	if err != nil {
		return err
	}
	defer f.Close()
	t, err := to.root.Open(".")
	if err != nil {
		return err
	}
	defer t.Close()
	return do(int(f.Fd()), int(t.Fd()))
}

func renameBetween(_ *folder, from *folder, old string, to *folder, name string) error {
	return between(from, to, func(from, to int) error { return unix.Renameat(from, old, to, name) })
}

// linkBetween makes a hard link; one to a symbolic link is one to the link itself.
func linkBetween(_ *folder, from *folder, old string, to *folder, name string) error {
	return between(from, to, func(from, to int) error { return unix.Linkat(from, old, to, name, 0) })
}

// spaceOf is how much room there is where the folder lies.
func spaceOf(g *given) (r room) {
	if g == nil {
		return r
	}
	//nolint:errcheck // no room is what is said then
	g.use(func() error {
		dir, err := g.top.root.Open(".")
		if err != nil {
			return err
		}
		defer dir.Close()
		var st unix.Statfs_t
		if err := unix.Fstatfs(int(dir.Fd()), &st); err != nil {
			return err
		}
		scale := uint64(st.Bsize)                                               //nolint:gosec // no size is negative
		r.blocks, r.free = st.Blocks*scale/blockSize, st.Bavail*scale/blockSize //nolint:unconvert // signed on some systems
		return nil
	})
	return r
}
