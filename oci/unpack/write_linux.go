package unpack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	copyBuffer = 256 << 10
	holeBlock  = 64 << 10 // runs of zeros this long, at this alignment, become holes
	diskEvery  = 64 << 20 // bytes between two looks at the free space
	entryCost  = 4 << 10  // bytes an inode is taken to cost
	opaqueAttr = "user.overlay.opaque"
)

var zeros = make([]byte, holeBlock)

// ErrNoSpace is wrapped when a layer would eat into the disk's reserve.
var ErrNoSpace = errors.New("not enough free disk space")

// checkDisk counts n bytes and looks at the disk once in a while (first at 0).
func (t *tree) checkDisk(n int64) error {
	t.unchecked += n
	if n != 0 && t.unchecked < diskEvery {
		return nil
	}
	t.unchecked = 0
	var st unix.Statfs_t
	if err := unix.Fstatfs(t.rootFD, &st); err != nil {
		return fmt.Errorf("look at the free disk space: %w", err)
	}
	if free := int64(st.Bavail) * st.Bsize; free < t.budget.limits.Reserve+diskEvery {
		return fmt.Errorf("%d MiB are free, %d MiB stay reserved: %w", free>>20, t.budget.limits.Reserve>>20, ErrNoSpace)
	}
	return nil
}

// root takes the entry of the root directory itself.
func (t *tree) root(hdr *tar.Header) error {
	if hdr.Typeflag != tar.TypeDir {
		return hostile(hdr.Name, "the root is to be replaced by type %q", hdr.Typeflag)
	}
	if err := checkHeader(hdr); err != nil {
		return err
	}
	t.meta["."] = hdr
	return nil
}

// add writes one file of the image.
func (t *tree) add(ctx context.Context, hdr *tar.Header, dir, base string, body io.Reader) error {
	if hdr.Typeflag == tar.TypeLink {
		return t.link(hdr, dir, base)
	}
	parent, err := t.open(dir, true)
	if err != nil {
		return err
	}
	switch hdr.Typeflag {
	case tar.TypeDir:
		return t.mkdir(parent, base, hdr)
	case tar.TypeSymlink:
		return t.symlink(parent, base, hdr)
	case tar.TypeFifo:
		return t.fifo(parent, base, hdr)
	case tar.TypeChar, tar.TypeBlock:
		return t.device(parent, base)
	}
	return t.file(ctx, parent, base, hdr, body)
}

// make runs create; when something is in the way it is removed first.
func (t *tree) make(parent *openDir, base, op string, create func() error) error {
	real := join(parent.real, base)
	err := create()
	if errors.Is(err, unix.EEXIST) {
		if err := t.clear(parent, base); err != nil {
			return err
		}
		err = create()
	}
	if err != nil {
		return &os.PathError{Op: op, Path: real, Err: err}
	}
	t.created(real)
	return nil
}

func (t *tree) mkdir(parent *openDir, base string, hdr *tar.Header) error {
	real := join(parent.real, base)
	var st unix.Stat_t
	err := unix.Fstatat(parent.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW)
	if err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR {
		delete(t.implied, real)
		t.meta[real] = hdr
		return nil
	}
	// Whatever stood here hid what the layers below have at this path.
	hid := err == nil
	create := func() error { return unix.Mkdirat(parent.fd, base, 0o700) }
	if err := t.make(parent, base, "mkdir", create); err != nil {
		return err
	}
	t.meta[real] = hdr
	if hid {
		return t.hide(real)
	}
	return nil
}

// hide marks the directory real as opaque.
func (t *tree) hide(real string) error {
	fd, err := t.openReal(real)
	if err != nil {
		return &os.PathError{Op: "open", Path: real, Err: err}
	}
	defer unix.Close(fd)
	if err := setOpaque(fd); err != nil {
		return fmt.Errorf("mark %s opaque: %w", real, err)
	}
	return nil
}

func setOpaque(fd int) error { return unix.Fsetxattr(fd, opaqueAttr, []byte("y"), 0) }

func (t *tree) symlink(parent *openDir, base string, hdr *tar.Header) error {
	if hdr.Linkname == "" || len(hdr.Linkname) > maxPath {
		return hostile(hdr.Name, "symbolic link to a name of %d bytes", len(hdr.Linkname))
	}
	create := func() error { return unix.Symlinkat(hdr.Linkname, parent.fd, base) }
	if err := t.make(parent, base, "symlink", create); err != nil {
		return err
	}
	xattrs(hdr, &t.res) // the kernel has no user.* on links; count the others
	return t.nodeMeta(parent, base, hdr)
}

func (t *tree) fifo(parent *openDir, base string, hdr *tar.Header) error {
	create := func() error { return unix.Mknodat(parent.fd, base, unix.S_IFIFO|0o600, 0) }
	if err := t.make(parent, base, "mkfifo", create); err != nil {
		return err
	}
	xattrs(hdr, &t.res)
	if err := t.nodeMeta(parent, base, hdr); err != nil {
		return err
	}
	if err := unix.Fchmodat(parent.fd, base, unixMode(hdr), 0); err != nil {
		return fmt.Errorf("chmod %s: %w", hdr.Name, err)
	}
	return nil
}

// nodeMeta sets owner and time of what cannot be opened.
func (t *tree) nodeMeta(parent *openDir, base string, hdr *tar.Header) error {
	if t.asRoot {
		if err := unix.Fchownat(parent.fd, base, hdr.Uid, hdr.Gid, unix.AT_SYMLINK_NOFOLLOW); err != nil {
			return fmt.Errorf("chown %s: %w", hdr.Name, err)
		}
	}
	if err := unix.UtimesNanoAt(parent.fd, base, times(hdr.ModTime), unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return fmt.Errorf("set the time of %s: %w", hdr.Name, err)
	}
	return nil
}

// device leaves a device node out: nothing stands at its path, whatever the
// layers below have there. The host gives every app the same small /dev.
func (t *tree) device(parent *openDir, base string) error {
	t.res.Devices++
	if err := t.cover(parent, base); err != nil {
		return err
	}
	t.dropped[join(parent.real, base)] = true
	return nil
}

// cover puts a whiteout at base, in place of what the layer had there.
func (t *tree) cover(parent *openDir, base string) error {
	create := func() error { return unix.Mknodat(parent.fd, base, unix.S_IFCHR, 0) }
	if err := t.make(parent, base, "whiteout", create); err != nil {
		return err
	}
	t.whiteouts[join(parent.real, base)] = true
	return nil
}

// whiteout hides base of the layers below. What this layer itself has there
// stays (image spec: whiteouts apply to lower layers only).
func (t *tree) whiteout(name, dir, base string) error {
	parent, err := t.open(dir, true)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	switch err := unix.Fstatat(parent.fd, base, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case errors.Is(err, unix.ENOENT):
		return t.cover(parent, base)
	case err != nil:
		return fmt.Errorf("whiteout %s: %w", name, err)
	case st.Mode&unix.S_IFMT == unix.S_IFDIR:
		return t.opaque(name, join(parent.real, base))
	}
	return nil
}

func (t *tree) opaque(name, dir string) error {
	d, err := t.open(dir, true)
	if err != nil {
		return err
	}
	if d.real == "." {
		t.res.RootOpaque = true
		return nil
	}
	if err := setOpaque(d.fd); err != nil {
		return fmt.Errorf("mark %s opaque: %w", name, err)
	}
	return nil
}

func (t *tree) file(ctx context.Context, parent *openDir, base string, hdr *tar.Header, body io.Reader) (err error) {
	fd := -1
	create := func() (err error) {
		fd, err = unix.Openat(parent.fd, base, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		return err
	}
	if err := t.make(parent, base, "create", create); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	if err := t.copy(ctx, fd, body, hdr.Size); err != nil {
		return fmt.Errorf("write %s: %w", hdr.Name, err)
	}
	return t.fdMeta(fd, hdr, xattrs(hdr, &t.res))
}

// copy writes size bytes of body to fd, leaving holes for long runs of zeros.
func (t *tree) copy(ctx context.Context, fd int, body io.Reader, size int64) error {
	hole := false
	for at := int64(0); at < size; {
		chunk := t.buf[:min(int64(len(t.buf)), size-at)]
		if _, err := io.ReadFull(body, chunk); err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		if err := t.checkDisk(int64(len(chunk))); err != nil {
			return err
		}
		var err error
		if hole, err = writeSparse(fd, chunk, at); err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		at += int64(len(chunk))
	}
	if hole {
		return unix.Ftruncate(fd, size)
	}
	return nil
}

// writeSparse writes p at offset at; it reports whether p ended in a hole.
func writeSparse(fd int, p []byte, at int64) (hole bool, err error) {
	for len(p) > 0 {
		n := min(len(p), holeBlock)
		if hole = n == holeBlock && bytes.Equal(p[:n], zeros); !hole {
			n = dataRun(p)
			if err := pwriteAll(fd, p[:n], at); err != nil {
				return false, err
			}
		}
		p, at = p[n:], at+int64(n)
	}
	return hole, nil
}

// dataRun is how many bytes of p come before its next hole.
func dataRun(p []byte) int {
	n := min(len(p), holeBlock)
	for n+holeBlock <= len(p) && !bytes.Equal(p[n:n+holeBlock], zeros) {
		n += holeBlock
	}
	if len(p)-n < holeBlock {
		n = len(p)
	}
	return n
}

func pwriteAll(fd int, p []byte, at int64) error {
	for len(p) > 0 {
		n, err := unix.Pwrite(fd, p, at)
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		p, at = p[max(n, 0):], at+int64(max(n, 0))
	}
	return nil
}

// fdMeta sets owner, attributes, mode and time; in this order, since a change
// of owner takes set-uid away.
func (t *tree) fdMeta(fd int, hdr *tar.Header, attrs map[string]string) error {
	if t.asRoot {
		if err := unix.Fchown(fd, hdr.Uid, hdr.Gid); err != nil {
			return fmt.Errorf("chown %s: %w", hdr.Name, err)
		}
	}
	for name, value := range attrs {
		if err := unix.Fsetxattr(fd, name, []byte(value), 0); err != nil {
			return fmt.Errorf("set %.100q on %s: %w", name, hdr.Name, err)
		}
	}
	if err := unix.Fchmod(fd, unixMode(hdr)); err != nil {
		return fmt.Errorf("chmod %s: %w", hdr.Name, err)
	}
	return setTimes(fd, hdr.Name, hdr.ModTime)
}

func setTimes(fd int, name string, mtime time.Time) error {
	ts := times(mtime)
	for {
		err := unix.UtimesNanoAt(fd, "", ts, unix.AT_EMPTY_PATH)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("set the time of %s: %w", name, err)
		}
	}
}

func times(mtime time.Time) []unix.Timespec {
	ts := unix.Timespec{Sec: mtime.Unix(), Nsec: int64(mtime.Nanosecond())}
	return []unix.Timespec{ts, ts}
}

func isWhiteoutStat(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == 0
}
